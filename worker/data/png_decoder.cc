#include "worker/data/png_decoder.h"

#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <vector>

#include "base/check.h"

namespace distill::data {
namespace {

// A comment or colour profile larger than this, packed or not, is refused.
constexpr png_alloc_size_t kMostChunkBytes = 8U << 20;
constexpr png_uint_32 kMostChunks = 1000;
constexpr png_uint_32 kMostSide = 1U << 24;
// Deflate packs at most this many bytes into one.
constexpr uint64_t kMostInflation = 1032;

}  // namespace

// Decoding is left by longjmp, so nothing between setjmp and the library's return has a destructor.
struct PngDecoder::State {
  png_structp png = nullptr;
  png_infop info = nullptr;
  absl::Span<const uint8_t> file;
  size_t position = 0;
  int passes = 1;
  std::vector<uint8_t> spare_row;
  std::vector<png_bytep> rows;
  std::jmp_buf leave;
  char message[200] = {};

  [[noreturn]] static void Leave(png_structp png, png_const_charp message) {
    auto* state = static_cast<State*>(png_get_error_ptr(png));
    std::snprintf(state->message, sizeof(state->message), "%s", message);
    std::longjmp(state->leave, 1);
  }

  static void IgnoreWarning(png_structp, png_const_charp) {}

  static void Read(png_structp png, png_bytep to, size_t count) {
    auto* state = static_cast<State*>(png_get_io_ptr(png));
    if (count > state->file.size() - state->position) png_error(png, "the file is cut short");
    std::memcpy(to, state->file.data() + state->position, count);
    state->position += count;
  }
};

PngDecoder::PngDecoder() : state_(std::make_unique<State>()) {}

PngDecoder::~PngDecoder() { png_destroy_read_struct(&state_->png, &state_->info, nullptr); }

bool PngDecoder::is_interlaced() const { return state_->passes > 1; }

absl::StatusOr<ImageSize> PngDecoder::Open(absl::Span<const uint8_t> file) {
  State* const state = state_.get();
  state->file = file;
  state->png =
      png_create_read_struct(PNG_LIBPNG_VER_STRING, state, State::Leave, State::IgnoreWarning);
  if (state->png == nullptr) return absl::ResourceExhaustedError("libpng has no memory");
  if (setjmp(state->leave) != 0) return absl::DataLossError(state->message);
  state->info = png_create_info_struct(state->png);
  if (state->info == nullptr) png_error(state->png, "libpng has no memory");
  png_set_user_limits(state->png, kMostSide, kMostSide);
  png_set_chunk_malloc_max(state->png, kMostChunkBytes);
  png_set_chunk_cache_max(state->png, kMostChunks);
  png_set_read_fn(state->png, state, State::Read);
  png_read_info(state->png, state->info);
  const uint64_t width = png_get_image_width(state->png, state->info);
  const uint64_t height = png_get_image_height(state->png, state->info);
  // A size that this file cannot hold is a lie; without this, it would cost memory to find out.
  const uint64_t bits = width * height * png_get_bit_depth(state->png, state->info);
  if (bits / 8 / kMostInflation > file.size()) {
    png_error(state->png, "the header declares more pixels than the file can hold");
  }
  return ImageSize{static_cast<int>(height), static_cast<int>(width)};
}

absl::Status PngDecoder::Decode(int top, int height, Bitmap* bitmap) {
  State* const state = state_.get();
  if (setjmp(state->leave) != 0) return absl::DataLossError(state->message);
  const png_byte color = png_get_color_type(state->png, state->info);
  png_set_expand(state->png);  // Palettes, and samples of fewer than 8 bits.
  png_set_strip_16(state->png);
  png_set_strip_alpha(state->png);
  if ((color & PNG_COLOR_MASK_COLOR) == 0) png_set_gray_to_rgb(state->png);
  png_set_filler(state->png, 0xff, PNG_FILLER_AFTER);
  state->passes = png_set_interlace_handling(state->png);
  png_read_update_info(state->png, state->info);
  const int whole = static_cast<int>(png_get_image_height(state->png, state->info));
  const int width = static_cast<int>(png_get_image_width(state->png, state->info));
  if (png_get_rowbytes(state->png, state->info) !=
      static_cast<size_t>(width) * kBitmapBytesPerPixel) {
    png_error(state->png, "its samples have an unknown layout");
  }
  if (is_interlaced()) {
    bitmap->Reshape(whole, width);
    state->rows.resize(static_cast<size_t>(whole));
    for (int y = 0; y < whole; ++y) state->rows[static_cast<size_t>(y)] = bitmap->Row(y);
    png_read_image(state->png, state->rows.data());
    return absl::OkStatus();
  }
  bitmap->Reshape(height, width);
  state->spare_row.resize(bitmap->row_bytes());
  for (int y = 0; y < top; ++y) png_read_row(state->png, state->spare_row.data(), nullptr);
  for (int y = 0; y < height; ++y) png_read_row(state->png, bitmap->Row(y), nullptr);
  return absl::OkStatus();
}

}  // namespace distill::data
