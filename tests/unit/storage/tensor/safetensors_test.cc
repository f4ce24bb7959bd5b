// What a weight file may look like, and how each kind of lie in one is met.
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/file.h"
#include "storage/tensor/safetensors_file.h"
#include "storage/tensor/safetensors_writer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill::storage {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kLost = absl::StatusCode::kDataLoss;

template <typename T>
absl::string_view BytesOf(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// A file of any header text and so many zero bytes of data.
std::string FileWith(absl::string_view json, size_t data_size) {
  std::string file(8, '\0');
  for (size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(json.size() >> (8 * i));
  return absl::StrCat(file, json, std::string(data_size, '\0'));
}

absl::Status Read(absl::string_view json, size_t data_size) {
  return SafetensorsFile::Parse(FileWith(json, data_size), "hostile").status();
}

TEST(SafetensorsTest, WhatIsWrittenIsRead) {
  const TempDir directory;
  const std::vector<float> weight = {1.0F, -2.5F, 3.0F, 4.0F, 5.0F, 6.0F};
  const std::vector<int64_t> steps = {1234567890123};
  const std::string flags("\1\0\1", 3);
  SafetensorsWriter writer;
  ASSERT_THAT(writer.Add("flags", {DType::kBool, {3}, flags}), IsOk());
  ASSERT_THAT(writer.Add("head.weight", {DType::kF32, {2, 3}, BytesOf(weight)}), IsOk());
  ASSERT_THAT(writer.Add("steps", {DType::kI64, {}, BytesOf(steps)}), IsOk());
  ASSERT_THAT(writer.Add("none", {DType::kF16, {0, 7}, ""}), IsOk());
  ASSERT_THAT(writer.SetMetadata("format", "pt"), IsOk());
  const absl::StatusOr<SafetensorsWriter::Written> written = writer.WriteFile(directory.Join("f"));
  ASSERT_THAT(written, IsOk());
  EXPECT_THAT(DigestOfFile(directory.Join("f")), IsOkAndHolds(written->digest));
  EXPECT_THAT(FileSize(directory.Join("f")), IsOkAndHolds(written->size_bytes));
  EXPECT_THAT(ListDirectory(directory.path()), IsOkAndHolds(ElementsAre("f")));

  absl::StatusOr<SafetensorsFile> opened = SafetensorsFile::Open(directory.Join("f"));
  ASSERT_THAT(opened, IsOk());
  const SafetensorsFile file = *std::move(opened);
  EXPECT_THAT(file.names(), ElementsAre("flags", "head.weight", "none", "steps"));
  EXPECT_THAT(file.metadata(), ElementsAre(testing::Pair("format", "pt")));
  const absl::StatusOr<TensorView> read = file.Find("head.weight");
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->dtype, DType::kF32);
  EXPECT_THAT(read->shape, ElementsAre(2, 3));
  EXPECT_EQ(read->bytes, BytesOf(weight));
  EXPECT_EQ(file.Find("steps")->bytes, BytesOf(steps));
  EXPECT_EQ(file.Find("flags")->bytes, flags);
  EXPECT_THAT(file.Find("none")->bytes, IsEmpty());
  EXPECT_TRUE(file.Contains("steps"));
  EXPECT_THAT(file.Find("head.bias"),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr(directory.Join("f")), HasSubstr("head.bias"))));
}

// The exact bytes: other programs read them, and digests of stored weights depend on them.
TEST(SafetensorsTest, PinsTheBytes) {
  SafetensorsWriter writer;
  ASSERT_THAT(writer.Add("a", {DType::kU8, {2}, "xy"}), IsOk());
  ASSERT_THAT(writer.Add("b", {DType::kI16, {1}, "01"}), IsOk());
  ASSERT_THAT(writer.SetMetadata("k", "v"), IsOk());
  const std::string json =
      R"({"__metadata__":{"k":"v"},"a":{"data_offsets":[2,4],"dtype":"U8","shape":[2]},)"
      R"("b":{"data_offsets":[0,2],"dtype":"I16","shape":[1]}})";
  std::string padded = json;
  while (padded.size() % 8 != 0) padded.push_back(' ');
  std::string expected = FileWith(padded, 0);
  expected += "01xy";
  EXPECT_THAT(writer.Serialize(), IsOkAndHolds(expected));
  const absl::StatusOr<SafetensorsWriter::Written> measured = writer.Measure();
  ASSERT_THAT(measured, IsOk());
  EXPECT_EQ(measured->size_bytes, expected.size());
  EXPECT_EQ(measured->digest, Digest::OfBytes(expected));
}

TEST(SafetensorsTest, OrderOfAddingDoesNotMatter) {
  SafetensorsWriter one;
  SafetensorsWriter other;
  ASSERT_THAT(one.Add("a", {DType::kU8, {1}, "1"}), IsOk());
  ASSERT_THAT(one.Add("b", {DType::kU8, {1}, "2"}), IsOk());
  ASSERT_THAT(other.Add("b", {DType::kU8, {1}, "2"}), IsOk());
  ASSERT_THAT(other.Add("a", {DType::kU8, {1}, "1"}), IsOk());
  EXPECT_EQ(one.Measure()->digest, other.Measure()->digest);
}

TEST(SafetensorsTest, TensorsOfMappedFilesAreAligned) {
  const TempDir directory;
  const std::vector<double> wide = {1.0};
  const std::vector<float> narrow = {2.0F};
  SafetensorsWriter writer;
  ASSERT_THAT(writer.Add("a", {DType::kBool, {3}, "xyz"}), IsOk());
  ASSERT_THAT(writer.Add("b", {DType::kF32, {1}, BytesOf(narrow)}), IsOk());
  ASSERT_THAT(writer.Add("c", {DType::kF64, {1}, BytesOf(wide)}), IsOk());
  ASSERT_THAT(writer.WriteFile(directory.Join("f")), IsOk());
  const absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Open(directory.Join("f"));
  ASSERT_THAT(file, IsOk());
  for (const std::string& name : file->names()) {
    const absl::StatusOr<TensorView> tensor = file->Find(name);
    ASSERT_THAT(tensor, IsOk());
    const auto address = reinterpret_cast<uintptr_t>(tensor->bytes.data());
    EXPECT_EQ(address % DTypeSizeBytes(tensor->dtype), 0U) << name;
  }
}

TEST(SafetensorsTest, MovingKeepsViewsValid) {
  SafetensorsWriter writer;
  ASSERT_THAT(writer.Add("a", {DType::kU8, {2}, "xy"}), IsOk());
  absl::StatusOr<SafetensorsFile> first = SafetensorsFile::Parse(*writer.Serialize());
  ASSERT_THAT(first, IsOk());
  const absl::string_view view = first->Find("a")->bytes;
  const SafetensorsFile second = *std::move(first);
  EXPECT_EQ(view, "xy");
  EXPECT_EQ(second.Find("a")->bytes.data(), view.data());
}

TEST(SafetensorsTest, EmptyFileOfNoTensorsIsValid) {
  SafetensorsWriter writer;
  const absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Parse(*writer.Serialize());
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(file->names(), IsEmpty());
}

TEST(SafetensorsTest, NamesMayHoldAnyUtf8) {
  const std::string name = "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80 \"\\\n";
  SafetensorsWriter writer;
  ASSERT_THAT(writer.Add(name, {DType::kU8, {1}, "x"}), IsOk());
  const absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Parse(*writer.Serialize());
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(file->names(), ElementsAre(name));
}

TEST(SafetensorsWriterTest, RefusesWhatItCouldNotReadBack) {
  SafetensorsWriter writer;
  ASSERT_THAT(writer.Add("a", {DType::kU8, {1}, "x"}), IsOk());
  EXPECT_THAT(writer.Add("a", {DType::kU8, {1}, "x"}), StatusIs(kInvalid, HasSubstr("taken")));
  for (const std::string& name :
       {std::string(), std::string("__metadata__"), std::string(513, 'n'), std::string("\xff"),
        std::string("\xc0\x80"), std::string("\xed\xa0\x80"), std::string("\xf4\x90\x80\x80"),
        std::string("\xe2\x82")}) {
    EXPECT_THAT(writer.Add(name, {DType::kU8, {1}, "x"}), StatusIs(kInvalid)) << name;
  }
  EXPECT_THAT(writer.Add("b", {DType::kF32, {2}, "1234"}),
              StatusIs(kInvalid, HasSubstr("got 4 want 8")));
  EXPECT_THAT(writer.Add("b", {DType::kF32, {-1}, ""}),
              StatusIs(kInvalid, HasSubstr("impossible shape [-1]")));
  EXPECT_THAT(writer.Add("b", {DType::kF32, {1LL << 62, 1LL << 62}, ""}),
              StatusIs(kInvalid, HasSubstr("impossible shape")));
  EXPECT_THAT(writer.Add("b", {DType::kU8, std::vector<int64_t>(65, 1), "x"}),
              StatusIs(kInvalid, HasSubstr("too many dimensions")));
  EXPECT_THAT(writer.SetMetadata("k", "\x80"), StatusIs(kInvalid));
}

TEST(SafetensorsWriterTest, FailedWriteLeavesNothing) {
  const TempDir directory;
  SafetensorsWriter writer;
  EXPECT_THAT(writer.WriteFile(directory.Join("no/f")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(ListDirectory(directory.path()), IsOkAndHolds(IsEmpty()));
}

constexpr char kGood[] = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";

TEST(SafetensorsHostileTest, TheGoodFileOfTheseTestsIsGood) {
  EXPECT_THAT(Read(kGood, 8), IsOk());
  EXPECT_THAT(Read(absl::StrCat(kGood, "     "), 8), IsOk());
}

TEST(SafetensorsHostileTest, RefusesTruncatedFiles) {
  const std::string whole = FileWith(kGood, 8);
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THAT(
        SafetensorsFile::Parse(whole.substr(0, size), "part"),
        StatusIs(kLost, AllOf(HasSubstr("cannot read safetensors part: "), HasSubstr("truncated"))))
        << size;
  }
  const TempDir directory;
  ASSERT_THAT(WriteFileAtomically(directory.Join("f"), ""), IsOk());
  EXPECT_THAT(SafetensorsFile::Open(directory.Join("f")), StatusIs(kLost));
  EXPECT_THAT(SafetensorsFile::Open(directory.Join("g")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(SafetensorsFile::Open(directory.path()), StatusIs(absl::StatusCode::kInternal));
}

TEST(SafetensorsHostileTest, RefusesHeaderLengthsThatLie) {
  EXPECT_THAT(SafetensorsFile::Parse(std::string(16, '\xff')),
              StatusIs(kInvalid, HasSubstr("header_bytes=18446744073709551615")));
  std::string file = FileWith(kGood, 8);
  file[3] = '\x05';  // 84 MB of header: allowed, but not there.
  EXPECT_THAT(SafetensorsFile::Parse(file), StatusIs(kLost));
  file[3] = '\x06';  // 101 MB: over the limit.
  EXPECT_THAT(SafetensorsFile::Parse(file), StatusIs(kInvalid, HasSubstr("unreasonable")));
  EXPECT_THAT(Read("", 0), StatusIs(kInvalid));
}

TEST(SafetensorsHostileTest, RefusesRangesThatDoNotTile) {
  EXPECT_THAT(Read(kGood, 7), StatusIs(kLost, HasSubstr("truncated")));
  EXPECT_THAT(Read(kGood, 9), StatusIs(kInvalid, HasSubstr("bytes follow the last tensor")));
  const auto two = [](absl::string_view a, absl::string_view b) {
    return absl::StrCat(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)", a,
                        R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)", b, "}}");
  };
  EXPECT_THAT(Read(two("[4,8]", "[0,4]"), 8), IsOk());
  EXPECT_THAT(Read(two("[0,4]", "[3,7]"), 7),
              StatusIs(kInvalid, AllOf(HasSubstr("overlap"), HasSubstr("entry=\"b\""))));
  EXPECT_THAT(Read(two("[0,4]", "[0,4]"), 4), StatusIs(kInvalid, HasSubstr("overlap")));
  EXPECT_THAT(Read(two("[0,4]", "[5,9]"), 9),
              StatusIs(kInvalid, HasSubstr("bytes belong to no tensor")));
  EXPECT_THAT(Read(two("[1,5]", "[5,9]"), 9),
              StatusIs(kInvalid, HasSubstr("bytes belong to no tensor")));
  EXPECT_THAT(Read(two("[0,4]", "[8,4]"), 8), StatusIs(kInvalid, HasSubstr("do not fit")));
}

TEST(SafetensorsHostileTest, RefusesSizesThatOverflowOrDoNotFit) {
  const auto shaped = [](absl::string_view shape, absl::string_view offsets) {
    return absl::StrCat(R"({"a":{"dtype":"F32","shape":)", shape, R"(,"data_offsets":)", offsets,
                        "}}");
  };
  EXPECT_THAT(Read(shaped("[3]", "[0,8]"), 8),
              StatusIs(kInvalid, AllOf(HasSubstr("do not fit"), HasSubstr("want_bytes=12"))));
  EXPECT_THAT(Read(shaped("[4294967296,4294967296]", "[0,0]"), 0),
              StatusIs(kInvalid, HasSubstr("impossible shape")));
  EXPECT_THAT(Read(shaped("[9223372036854775808]", "[0,0]"), 0),
              StatusIs(kInvalid, HasSubstr("dimension is too large")));
  EXPECT_THAT(Read(shaped("[2]", "[18446744073709551608,0]"), 0), StatusIs(kInvalid));
  EXPECT_THAT(Read(shaped("[2]", "[18446744073709551616,8]"), 8),
              StatusIs(kInvalid, HasSubstr("not an integer")));
  EXPECT_THAT(Read(shaped("[-2]", "[0,8]"), 8), StatusIs(kInvalid, HasSubstr("negative")));
  EXPECT_THAT(Read(shaped("[2.0]", "[0,8]"), 8), StatusIs(kInvalid, HasSubstr("not an integer")));
  EXPECT_THAT(Read(shaped("[2]", "[0,8,9]"), 8), StatusIs(kInvalid, HasSubstr("more than two")));
  EXPECT_THAT(Read(shaped("[2]", "[8]"), 8), StatusIs(kInvalid, HasSubstr("less than two")));
  std::string deep = "[1";
  for (int i = 0; i < 64; ++i) deep += ",1";
  EXPECT_THAT(Read(shaped(deep + "]", "[0,4]"), 4),
              StatusIs(kInvalid, HasSubstr("too many dimensions")));
}

TEST(SafetensorsHostileTest, RefusesKeysThatStandTwice) {
  const std::string entry = R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_THAT(Read(absl::StrCat(R"({"a":)", entry, R"(,"a":)", entry, "}"), 1),
              StatusIs(kInvalid, AllOf(HasSubstr("stands twice"), HasSubstr("entry=\"a\""))));
  EXPECT_THAT(Read(R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1),
              StatusIs(kInvalid, HasSubstr("dtype stands twice")));
  EXPECT_THAT(Read(R"({"__metadata__":{},"__metadata__":{}})", 0),
              StatusIs(kInvalid, HasSubstr("metadata stands twice")));
  EXPECT_THAT(Read(R"({"__metadata__":{"k":"1","k":"2"}})", 0),
              StatusIs(kInvalid, HasSubstr("metadata key \"k\" stands twice")));
}

TEST(SafetensorsHostileTest, RefusesEverythingOutsideTheGrammar) {
  for (const char* json : {
           "[]",
           " {}",
           "{} x",
           "{}{}",
           "{",
           "{\"a\":1}",
           "{\"a\":null}",
           "{\"a\":true}",
           "{\"a\":\"F32\"}",
           "{\"a\":[]}",
           "{\"a\":{}}",
           "{\"\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}",
           "{\"a\":{\"dtype\":\"U8\",\"shape\":[]}}",
           "{\"a\":{\"dtype\":\"u8\",\"shape\":[],\"data_offsets\":[0,1]}}",
           "{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[],\"data_offsets\":[0,1]}}",
           "{\"a\":{\"dtype\":[0,1],\"shape\":[],\"data_offsets\":[0,1]}}",
           "{\"a\":{\"dtype\":\"U8\",\"shape\":3,\"data_offsets\":[0,1]}}",
           "{\"a\":{\"dtype\":\"U8\",\"shape\":[[1]],\"data_offsets\":[0,1]}}",
           "{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":{\"x\":1}}}",
           "{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1],\"more\":1}}",
           "{\"__metadata__\":{\"k\":1}}",
           "{\"__metadata__\":{\"k\":{}}}",
           "{\"__metadata__\":[]}",
           "{\"__metadata__\":\"x\"}",
           "{\"\xff\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}",
       }) {
    EXPECT_THAT(Read(json, 1), StatusIs(kInvalid, HasSubstr("cannot read safetensors hostile: ")))
        << json;
  }
  EXPECT_THAT(Read(absl::StrCat("{\"", std::string(513, 'n'), "\":{}}"), 0),
              StatusIs(kInvalid, HasSubstr("name is too long")));
  EXPECT_THAT(Read(absl::string_view("{}\0\0", 4), 0), StatusIs(kInvalid));
}

// A bomb of brackets must be refused at the second one, not after a stack or a heap of them.
TEST(SafetensorsHostileTest, RefusesDeepNestingAtOnce) {
  EXPECT_THAT(Read(absl::StrCat("{\"a\":", std::string(8'000'000, '{')), 0), StatusIs(kInvalid));
  EXPECT_THAT(Read(absl::StrCat("{\"a\":", std::string(8'000'000, '[')), 0), StatusIs(kInvalid));
}

// Every single flipped byte of a header is either refused or still tiles the file exactly.
TEST(SafetensorsHostileTest, SurvivesEveryFlippedByte) {
  const std::string good = FileWith(kGood, 8);
  for (size_t at = 0; at < good.size(); ++at) {
    for (int flip = 1; flip < 256; ++flip) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      const absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Parse(std::move(bad));
      if (!file.ok()) continue;
      uint64_t total = 0;
      for (const std::string& name : file->names()) total += file->Find(name)->bytes.size();
      EXPECT_EQ(total, 8U) << at << " " << flip;
    }
  }
}

TEST(FindNonFiniteTest, FindsTheFirstOfEachFormat) {
  std::vector<float> f32(5000, 1.0F);
  EXPECT_EQ(FindNonFinite({DType::kF32, {5000}, BytesOf(f32)}), std::nullopt);
  f32[4321] = std::numeric_limits<float>::quiet_NaN();
  f32[4900] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(FindNonFinite({DType::kF32, {5000}, BytesOf(f32)}), 4321U);
  std::vector<double> f64 = {1.0, std::numeric_limits<double>::max(),
                             -std::numeric_limits<double>::infinity()};
  EXPECT_EQ(FindNonFinite({DType::kF64, {3}, BytesOf(f64)}), 2U);
  const std::vector<uint16_t> f16 = {0x3c00, 0x7bff, 0xfc00};  // 1, the largest, -inf.
  EXPECT_EQ(FindNonFinite({DType::kF16, {3}, BytesOf(f16)}), 2U);
  const std::vector<uint16_t> bf16 = {0x3f80, 0x7f7f, 0x7fc0};  // 1, the largest, NaN.
  EXPECT_EQ(FindNonFinite({DType::kBF16, {3}, BytesOf(bf16)}), 2U);
  const std::vector<int32_t> i32 = {0x7f800000, -1};
  EXPECT_EQ(FindNonFinite({DType::kI32, {2}, BytesOf(i32)}), std::nullopt);
}

TEST(FindNonFiniteTest, NamesTheTensorOfTheFile) {
  const std::vector<float> good = {1.0F, 2.0F};
  const std::vector<float> bad = {1.0F, std::numeric_limits<float>::quiet_NaN()};
  SafetensorsWriter writer;
  ASSERT_THAT(writer.Add("a", {DType::kF32, {2}, BytesOf(good)}), IsOk());
  ASSERT_THAT(writer.Add("b", {DType::kF32, {2}, BytesOf(bad)}), IsOk());
  const absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Parse(*writer.Serialize());
  ASSERT_THAT(file, IsOk());
  const std::optional<NonFinite> found = FindNonFinite(*file);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->name, "b");
  EXPECT_EQ(found->index, 1U);
}

TEST(DTypeTest, NamesAndSizes) {
  for (const DType dtype : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16, DType::kI64,
                            DType::kI32, DType::kI16, DType::kI8, DType::kU8, DType::kBool}) {
    EXPECT_THAT(ParseDType(DTypeName(dtype)), IsOkAndHolds(dtype));
  }
  EXPECT_EQ(DTypeSizeBytes(DType::kBF16), 2U);
  EXPECT_THAT(TensorSizeBytes(DType::kF32, {2, 3}), IsOkAndHolds(24U));
  EXPECT_THAT(TensorSizeBytes(DType::kF64, {}), IsOkAndHolds(8U));
}

}  // namespace
}  // namespace distill::storage
