#include "server/web/status_page.h"

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "base/check.h"
#include "base/digest.h"
#include "server/web/static_files.h"

namespace distill::server {
namespace {

constexpr absl::string_view kStaticPrefix = "/static/";
constexpr absl::string_view kIndex = "index.html";
constexpr absl::string_view kSummaryMark = "<!-- summary -->";

// Scripts, styles and data come from this server alone, and nothing is written into the page as
// code; pictures of artifacts are blobs that the page's script has fetched.
constexpr absl::string_view kContentPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

std::vector<std::pair<std::string, std::string>> SafeHeaders() {
  return {{"Content-Security-Policy", std::string(kContentPolicy)},
          {"X-Content-Type-Options", "nosniff"},
          {"X-Frame-Options", "DENY"},
          {"Referrer-Policy", "no-referrer"},
          {"Cross-Origin-Resource-Policy", "same-origin"},
          // Asked for again each time, and then answered with 304.
          {"Cache-Control", "no-cache"}};
}

std::string ContentType(absl::string_view name) {
  if (absl::EndsWith(name, ".html")) return "text/html; charset=utf-8";
  if (absl::EndsWith(name, ".css")) return "text/css; charset=utf-8";
  if (absl::EndsWith(name, ".js")) return "text/javascript; charset=utf-8";
  if (absl::EndsWith(name, ".svg")) return "image/svg+xml";
  DISTILL_CHECK(false, "every static file has a known type");
  return std::string();
}

const StaticFile* Find(absl::string_view name) {
  for (const StaticFile& file : StaticFiles()) {
    if (file.name == name) return &file;
  }
  return nullptr;
}

}  // namespace

StatusPage::StatusPage(ApiGateway& gateway, Summary summary)
    : gateway_(&gateway), summary_(summary) {
  for (const StaticFile& file : StaticFiles()) {
    etags_[std::string(file.name)] =
        absl::StrCat("\"", Digest::OfBytes(file.content).hex().substr(0, 16), "\"");
  }
}

WebResponse StatusPage::Handle(const WebRequest& request) const {
  if (request.path == "/") return Index(request);
  absl::string_view name = request.path;
  const StaticFile* file = nullptr;
  if (absl::ConsumePrefix(&name, kStaticPrefix) && name != kIndex) file = Find(name);
  if (file == nullptr) return {404, "text/plain; charset=utf-8", "not found\n"};
  WebResponse response;
  response.content_type = ContentType(name);
  response.headers = SafeHeaders();
  const std::string& etag = etags_.at(std::string(name));
  response.headers.emplace_back("ETag", etag);
  if (request.Header("if-none-match") == etag) {
    response.status = 304;
  } else {
    response.body = std::string(file->content);
  }
  return response;
}

WebResponse StatusPage::Index(const WebRequest& request) const {
  const StaticFile* const file = Find(kIndex);
  DISTILL_CHECK(file != nullptr, "the page is compiled in");
  WebResponse response;
  response.content_type = ContentType(kIndex);
  response.headers = SafeHeaders();
  const std::string summary = summary_ == Summary::kShown
                                  ? gateway_->Summary(request)
                                  : "<p>This server wants to know who asks.</p>\n";
  response.body = absl::StrReplaceAll(file->content, {{kSummaryMark, summary}});
  return response;
}

}  // namespace distill::server
