// Signatures against the vectors that AWS publishes: its Signature Version 4 test suite, and the
// worked examples of the S3 documentation ("Signature Calculations for the Authorization Header",
// "Authenticating Requests: Using Query Parameters").
#include "storage/blob/s3_signature.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distill::storage {
namespace {

using ::testing::Contains;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

// --- The test suite: service "service", 2015-08-30 12:36 UTC ------------------------------------

struct SuiteVector {
  const char* name;
  const char* method;
  const char* path;
  S3Pairs query;
  S3Pairs headers;
  const char* signature;
};

class SuiteTest : public ::testing::TestWithParam<SuiteVector> {};

TEST_P(SuiteTest, SignsAsPublished) {
  const SuiteVector& vector = GetParam();
  S3Request request;
  request.method = vector.method;
  request.host = "example.amazonaws.com";
  request.path = vector.path;
  request.query = vector.query;
  request.headers = vector.headers;
  const S3Credentials credentials = {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""};
  const S3Scope scope = {
      "us-east-1", "service",
      absl::FromCivil(absl::CivilSecond(2015, 8, 30, 12, 36, 0), absl::UTCTimeZone())};
  const S3Pairs headers = SignedHeaders(request, Digest::OfBytes("").hex(), credentials, scope);
  EXPECT_THAT(headers, Contains(Pair("Authorization",
                                     EndsWith(absl::StrCat("Signature=", vector.signature)))))
      << CanonicalRequest(request, Digest::OfBytes("").hex());
  EXPECT_THAT(headers, Contains(Pair("x-amz-date", "20150830T123600Z")));
}

INSTANTIATE_TEST_SUITE_P(
    Vectors, SuiteTest,
    ::testing::Values(
        SuiteVector{"GetVanilla",
                    "GET",
                    "/",
                    {},
                    {},
                    "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        SuiteVector{"PostVanilla",
                    "POST",
                    "/",
                    {},
                    {},
                    "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
        SuiteVector{"GetVanillaEmptyQueryKey",
                    "GET",
                    "/",
                    {{"Param1", "value1"}},
                    {},
                    "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
        SuiteVector{"GetVanillaQueryOrderKeyCase",
                    "GET",
                    "/",
                    {{"Param2", "value2"}, {"Param1", "value1"}},
                    {},
                    "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
        SuiteVector{"PostVanillaQuery",
                    "POST",
                    "/",
                    {{"Param1", "value1"}},
                    {},
                    "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
        SuiteVector{"GetUtf8",
                    "GET",
                    "/\u1234",
                    {},
                    {},
                    "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
        SuiteVector{"GetUnreserved",
                    "GET",
                    "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
                    {},
                    {},
                    "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
        SuiteVector{"PostHeaderKeySort",
                    "POST",
                    "/",
                    {},
                    {{"My-Header1", "value1"}},
                    "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
        SuiteVector{"GetHeaderValueTrim",
                    "GET",
                    "/",
                    {},
                    {{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}},
                    "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"}),
    [](const auto& info) { return std::string(info.param.name); });

// --- The examples of the S3 documentation: 2013-05-24 00:00 UTC ---------------------------------

const S3Credentials kDocumented = {"AKIAIOSFODNN7EXAMPLE",
                                   "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};

S3Scope DocumentedScope() {
  return {"us-east-1", "s3",
          absl::FromCivil(absl::CivilSecond(2013, 5, 24, 0, 0, 0), absl::UTCTimeZone())};
}

std::string DocumentedSignature(S3Request request, absl::string_view payload_hash) {
  request.host = "examplebucket.s3.amazonaws.com";
  request.headers.emplace_back("x-amz-content-sha256", payload_hash);
  for (const auto& [name, value] :
       SignedHeaders(request, payload_hash, kDocumented, DocumentedScope())) {
    if (name == "Authorization") return value.substr(value.rfind('=') + 1);
  }
  return "";
}

TEST(S3SignatureTest, SignsTheDocumentedRequests) {
  const std::string empty(Digest::OfBytes("").hex());
  EXPECT_EQ(DocumentedSignature({"GET", "", "/test.txt", {}, {{"Range", "bytes=0-9"}}}, empty),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  EXPECT_EQ(DocumentedSignature({"PUT",
                                 "",
                                 "/test$file.text",
                                 {},
                                 {{"Date", "Fri, 24 May 2013 00:00:00 GMT"},
                                  {"x-amz-storage-class", "REDUCED_REDUNDANCY"}}},
                                Digest::OfBytes("Welcome to Amazon S3.").hex()),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
  EXPECT_EQ(DocumentedSignature({"GET", "", "/", {{"lifecycle", ""}}, {}}, empty),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  EXPECT_EQ(DocumentedSignature({"GET", "", "/", {{"max-keys", "2"}, {"prefix", "J"}}, {}}, empty),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST(S3SignatureTest, PresignsTheDocumentedUrl) {
  S3Request request;
  request.method = "GET";
  request.host = "examplebucket.s3.amazonaws.com";
  request.path = "/test.txt";
  const S3Pairs query = PresignedQuery(request, absl::Hours(24), kDocumented, DocumentedScope());
  EXPECT_EQ(CanonicalQuery(query),
            "X-Amz-Algorithm=AWS4-HMAC-SHA256"
            "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
            "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400"
            "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
            "&X-Amz-SignedHeaders=host");
}

// Temporary credentials are refused without their token, and the token must be signed.
TEST(S3SignatureTest, SignsTheSessionToken) {
  const S3Credentials temporary = {"id", "secret", "token"};
  const S3Request request = {"GET", "host", "/", {}, {}};
  const S3Pairs headers = SignedHeaders(request, kUnsignedPayload, temporary, DocumentedScope());
  EXPECT_THAT(headers, Contains(Pair("x-amz-security-token", "token")));
  EXPECT_THAT(headers, Contains(Pair("Authorization", HasSubstr("x-amz-security-token"))));
  EXPECT_THAT(headers, Contains(Pair("Authorization", Not(HasSubstr("secret")))));
  EXPECT_THAT(PresignedQuery(request, absl::Minutes(1), temporary, DocumentedScope()),
              Contains(Pair("X-Amz-Security-Token", "token")));
}

TEST(S3SignatureTest, EncodesWhatUrlsCannotHold) {
  EXPECT_EQ(UriEncode("a b/c+d%\n\xff", /*keep_slash=*/false), "a%20b%2Fc%2Bd%25%0A%FF");
  EXPECT_EQ(UriEncode("a b/c", /*keep_slash=*/true), "a%20b/c");
}

}  // namespace
}  // namespace distill::storage
