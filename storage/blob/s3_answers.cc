#include "storage/blob/s3_answers.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace distill::storage {
namespace {

// Returns the position after the opening tag of `name` at or after `from`; npos when there is none.
size_t FindOpening(absl::string_view xml, absl::string_view name, size_t from) {
  while (true) {
    const size_t at = xml.find('<', from);
    if (at == absl::string_view::npos) return at;
    const absl::string_view tag = xml.substr(at + 1);
    from = at + 1;
    if (!absl::StartsWith(tag, name) || tag.size() == name.size()) continue;
    const char after = tag[name.size()];
    if (after != '>' && after != ' ') continue;
    const size_t end = xml.find('>', at);
    if (end == absl::string_view::npos) return end;
    if (xml[end - 1] == '/') continue;  // Empty element.
    return end + 1;
  }
}

}  // namespace

std::vector<absl::string_view> XmlElements(absl::string_view xml, absl::string_view name) {
  std::vector<absl::string_view> elements;
  const std::string closing = absl::StrCat("</", name, ">");
  size_t from = 0;
  while (true) {
    const size_t begin = FindOpening(xml, name, from);
    if (begin == absl::string_view::npos) return elements;
    const size_t end = xml.find(closing, begin);
    if (end == absl::string_view::npos) return elements;
    elements.push_back(xml.substr(begin, end - begin));
    from = end + closing.size();
  }
}

std::string XmlText(absl::string_view xml, absl::string_view name) {
  const std::vector<absl::string_view> elements = XmlElements(xml, name);
  if (elements.empty()) return "";
  return absl::StrReplaceAll(elements.front(), {{"&lt;", "<"},
                                                {"&gt;", ">"},
                                                {"&quot;", "\""},
                                                {"&apos;", "'"},
                                                {"&#34;", "\""},
                                                {"&#39;", "'"},
                                                {"&amp;", "&"}});
}

std::string XmlEscape(absl::string_view text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&apos;"}});
}

absl::StatusOr<S3Page> ParseListing(absl::string_view xml) {
  if (XmlElements(xml, "ListBucketResult").empty()) {
    return absl::InternalError("cannot list objects: the answer is not a ListBucketResult");
  }
  S3Page page;
  for (const absl::string_view element : XmlElements(xml, "Contents")) {
    S3Object object;
    object.key = XmlText(element, "Key");
    if (!absl::SimpleAtoi(XmlText(element, "Size"), &object.size_bytes)) {
      return absl::InternalError(
          absl::StrCat("cannot list objects: one has no size; key=", object.key));
    }
    page.objects.push_back(std::move(object));
  }
  if (XmlText(xml, "IsTruncated") != "true") return page;
  page.next_token = XmlText(xml, "NextContinuationToken");
  if (page.next_token.empty()) {
    return absl::InternalError("cannot list objects: more are announced, but not how to get them");
  }
  return page;
}

std::vector<S3Multipart> ParseMultiparts(absl::string_view xml) {
  std::vector<S3Multipart> multiparts;
  for (const absl::string_view element : XmlElements(xml, "Upload")) {
    S3Multipart multipart;
    multipart.key = XmlText(element, "Key");
    multipart.id = XmlText(element, "UploadId");
    std::string error;
    // One whose age is unknown is as good as new: it is left alone.
    if (!absl::ParseTime(absl::RFC3339_full, XmlText(element, "Initiated"), &multipart.begin_time,
                         &error)) {
      multipart.begin_time = absl::InfiniteFuture();
    }
    multiparts.push_back(std::move(multipart));
  }
  return multiparts;
}

S3Error ParseError(absl::string_view xml) {
  const std::vector<absl::string_view> errors = XmlElements(xml, "Error");
  if (errors.empty()) return {};
  return {XmlText(errors.front(), "Code"), XmlText(errors.front(), "Message")};
}

}  // namespace distill::storage
