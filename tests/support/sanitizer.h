// Whether this build watches memory or threads with a sanitizer: what a process needs then says
// nothing about the product.
#pragma once

namespace distill {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kHasSanitizer = true;
#else
constexpr bool kHasSanitizer = false;
#endif
#else
constexpr bool kHasSanitizer = false;
#endif

}  // namespace distill
