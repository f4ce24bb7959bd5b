// Checkpoints that PyTorch wrote (fixtures/make_fixtures.py) are read exactly, and all that could
// be code, lie or break off is refused with file, entry and reason.
#include "storage/tensor/pth_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "tests/support/status_matchers.h"

namespace distill::storage {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Fixture(const std::string& name) {
  return absl::StrCat(std::getenv("DISTILL_SOURCE_DIR"), "/tests/unit/storage/tensor/fixtures/",
                      name);
}

template <typename T>
std::vector<T> Values(const PthFile& file, const PthFile::Place& place, const std::string& name) {
  const auto tensors = file.Tensors(place);
  if (!tensors.ok()) {
    ADD_FAILURE() << tensors.status();
    return {};
  }
  std::string copy;
  const TensorView view = tensors->at(name).Dense(&copy);
  std::vector<T> values(view.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), view.bytes.data(), view.bytes.size());
  return values;
}

TEST(PthFileTest, ReadsEveryElementType) {
  const absl::StatusOr<PthFile> file = PthFile::Open(Fixture("types.pth"));
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(Values<double>(*file, {}, "float64"), ElementsAre(0, 1, 2));
  EXPECT_THAT(Values<float>(*file, {}, "float32"), ElementsAre(0, 1, 2));
  EXPECT_THAT(Values<uint16_t>(*file, {}, "float16"), ElementsAre(0, 0x3c00, 0x4000));
  EXPECT_THAT(Values<uint16_t>(*file, {}, "bfloat16"), ElementsAre(0, 0x3f80, 0x4000));
  EXPECT_THAT(Values<int64_t>(*file, {}, "int64"), ElementsAre(0, 1, 2));
  EXPECT_THAT(Values<int32_t>(*file, {}, "int32"), ElementsAre(0, 1, 2));
  EXPECT_THAT(Values<int16_t>(*file, {}, "int16"), ElementsAre(0, 1, 2));
  EXPECT_THAT(Values<int8_t>(*file, {}, "int8"), ElementsAre(0, 1, 2));
  EXPECT_THAT(Values<uint8_t>(*file, {}, "uint8"), ElementsAre(0, 1, 2));
  EXPECT_THAT(Values<uint8_t>(*file, {}, "bool"), ElementsAre(0, 1, 1));
}

TEST(PthFileTest, GathersStridedAndSharedTensors) {
  const absl::StatusOr<PthFile> file = PthFile::Open(Fixture("strides.pth"));
  ASSERT_THAT(file, IsOk());
  const auto tensors = file->Tensors({});
  ASSERT_THAT(tensors, IsOk());
  EXPECT_TRUE(tensors->at("row").is_dense());
  EXPECT_FALSE(tensors->at("column").is_dense());
  EXPECT_THAT(tensors->at("transposed").shape(), ElementsAre(4, 2, 3));
  const std::vector<float> transposed = Values<float>(*file, {}, "transposed");
  for (size_t i = 0; i < 24; ++i) EXPECT_EQ(transposed[i], static_cast<float>(4 * (i % 6) + i / 6));
  EXPECT_THAT(Values<float>(*file, {}, "column"), ElementsAre(2, 6, 10, 14, 18, 22));
  EXPECT_THAT(Values<int64_t>(*file, {}, "every_second"), ElementsAre(1, 3, 5, 7, 9));
  EXPECT_THAT(Values<float>(*file, {}, "scalar"), ElementsAre(7));
  EXPECT_THAT(Values<float>(*file, {}, "empty"), ElementsAre());
  EXPECT_THAT(Values<float>(*file, {}, "parameter"), ElementsAre(1, 1));
}

TEST(PthFileTest, WalksContainers) {
  const absl::StatusOr<PthFile> file = PthFile::Open(Fixture("checkpoint.pth"));
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(file->Keys({}), ElementsAre("model", "model_stages", "optimizer", "epoch",
                                          "model_name", "divided_depths", "numbers"));
  EXPECT_THAT(Values<float>(*file, {"model"}, "weight"), ::testing::SizeIs(6));
  EXPECT_THAT(file->Keys({"model_stages", "0"}), ElementsAre("weight", "bias"));
  EXPECT_EQ(file->IntegerAt({"epoch"}), 7);
  EXPECT_EQ(file->TextAt({"model_name"}), "vit_large_patch16_224");
  EXPECT_EQ(file->IntegerAt({"divided_depths", "3"}), 6);
  EXPECT_EQ(file->IntegerAt({"numbers", "1"}), -2);
  EXPECT_EQ(file->IntegerAt({"numbers", "3"}), -70000);
  EXPECT_EQ(file->IntegerAt({"numbers", "5"}), -(int64_t{1} << 40));
  EXPECT_EQ(file->KindAt({"numbers", "6"}), "float");
  EXPECT_EQ(file->KindAt({"optimizer", "state", "0", "exp_avg"}), "tensor");
  EXPECT_THAT(file->Tensors({"epoch"}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no dictionary at \"epoch\"")));
  EXPECT_THAT(file->Tensors({"optimizer"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("entry=\"state\" kind=dict")));
}

TEST(PthFileTest, ReadsProtocolFour) {
  const absl::StatusOr<PthFile> file = PthFile::Open(Fixture("protocol4.pth"));
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(file->Keys({}), ElementsAre("weight", "bias"));
}

TEST(PthFileTest, ReadsTheFormOfVeryLargeArchives) {
  const absl::StatusOr<PthFile> file = PthFile::Open(Fixture("zip64.pth"));
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(Values<float>(*file, {}, "weight"), ElementsAre(0, 1, 2));
}

struct Refusal {
  std::string fixture;
  std::string reason;
};

class RefusalTest : public ::testing::TestWithParam<Refusal> {};

TEST_P(RefusalTest, NamesFileAndReason) {
  EXPECT_THAT(PthFile::Open(Fixture(GetParam().fixture)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(GetParam().fixture), HasSubstr(GetParam().reason))));
}

INSTANTIATE_TEST_SUITE_P(
    All, RefusalTest,
    ::testing::Values(
        Refusal{"runs_code.pth", "pickle names posix.system, which may run code"},
        Refusal{"holds_module.pth", "pickle names torch.nn.modules.linear.Linear, which may"},
        Refusal{"old_format.pth", "from before PyTorch 1.6; load it there and save it again"},
        Refusal{"overlapping.pth", "elements of a tensor overlap; save tensor.clone()"},
        Refusal{"expanded.pth", "elements of a tensor overlap"},
        Refusal{"complex.pth", "element type of torch.ComplexFloatStorage is not supported"},
        Refusal{"script.pth", "TorchScript archive, which holds code"},
        Refusal{"beyond.pth", "a tensor reaches beyond its storage"},
        Refusal{"compressed.pth", "an entry is compressed"}),
    [](const auto& info) { return info.param.fixture.substr(0, info.param.fixture.find('.')); });

TEST(PthFileTest, RefusesEveryTruncation) {
  const absl::StatusOr<std::string> bytes = ReadFile(Fixture("types.pth"));
  ASSERT_THAT(bytes, IsOk());
  for (size_t size = 0; size < bytes->size(); ++size) {
    EXPECT_FALSE(PthFile::Parse(bytes->substr(0, size)).ok()) << size;
  }
  EXPECT_THAT(
      PthFile::Parse(bytes->substr(0, bytes->size() / 2), "cut.pth"),
      StatusIs(absl::StatusCode::kDataLoss, AllOf(HasSubstr("cut.pth"), HasSubstr("truncated"))));
}

// Whatever byte is damaged, reading ends: in an error, or in tensors that can be looked at.
TEST(PthFileTest, SurvivesDamage) {
  const absl::StatusOr<std::string> bytes = ReadFile(Fixture("checkpoint.pth"));
  ASSERT_THAT(bytes, IsOk());
  for (size_t at = 0; at < bytes->size(); ++at) {
    std::string damaged = *bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
    const absl::StatusOr<PthFile> file = PthFile::Parse(damaged);
    if (file.ok()) (void)file->Tensors({"model"});
  }
}

TEST(PthFileTest, NoticesCorruptTensors) {
  absl::StatusOr<std::string> bytes = ReadFile(Fixture("checkpoint.pth"));
  ASSERT_THAT(bytes, IsOk());
  // The first tensor's bytes stand in the entry data/0.
  const size_t entry = bytes->find("checkpoint/data/0");
  ASSERT_NE(entry, std::string::npos);
  const size_t at = bytes->find('\x3f', entry + 64);
  ASSERT_NE(at, std::string::npos);
  (*bytes)[at] = '\x40';
  const absl::StatusOr<PthFile> file = PthFile::Parse(*bytes, "bad.pth");
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(file->Tensors({"model"}), StatusIs(absl::StatusCode::kDataLoss,
                                                 AllOf(HasSubstr("bad.pth"), HasSubstr("checksum"),
                                                       HasSubstr("checkpoint/data/0"))));
}

TEST(PickleTest, BoundsWhatItBuilds) {
  // Two million empty lists.
  std::string many("\x80\x02", 2);
  many.append(2'000'000, ']');
  EXPECT_THAT(ReadPickle(many),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("too many values")));
  // A list that holds itself is no danger: values refer to each other by number.
  EXPECT_THAT(ReadPickle(absl::string_view("\x80\x02]q\x00h\x00"
                                           "a.",
                                           9)),
              IsOk());
  EXPECT_THAT(ReadPickle("\x80\x09."),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("unknown pickle protocol 9")));
  // A mark is no value.
  EXPECT_THAT(ReadPickle("(."), StatusIs(absl::StatusCode::kInvalidArgument,
                                         HasSubstr("does not end with one value")));
  EXPECT_THAT(ReadPickle("\x80\x02"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("truncated")));
}

}  // namespace
}  // namespace distill::storage
