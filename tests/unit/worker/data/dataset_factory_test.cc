#include "worker/data/dataset_factory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/worker/data/image_fixtures.h"

namespace distill::data {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class DatasetFactoryTest : public testing::Test {
 protected:
  absl::StatusOr<DatasetPair> Open(DatasetFormat format, int classes = 0) {
    DatasetOptions options;
    options.path = directory_.path();
    options.format = format;
    options.classes = classes;
    return OpenDataset(options);
  }

  void Write(const std::string& name, absl::string_view bytes) {
    WriteFileAt(directory_.Join(name), bytes);
  }

  // A JPEG whose bytes depend on `seed`.
  void WriteImage(const std::string& name, int seed) {
    Write(name, JpegBytes(MakePicture(20 + seed, 30, seed)));
  }

  TempDir directory_;
};

std::string CifarRecords(const std::vector<int>& labels, size_t label_bytes) {
  std::string bytes;
  for (const int label : labels) {
    bytes += std::string(label_bytes - 1, '\7') + static_cast<char>(label);
    bytes += std::string(1024, static_cast<char>(label + 1)) + std::string(1024, '\2') +
             std::string(1024, '\3');
  }
  return bytes;
}

TEST_F(DatasetFactoryTest, ReadsCifar10) {
  for (int i = 1; i <= 5; ++i) {
    Write(absl::StrCat("data_batch_", i, ".bin"), CifarRecords({2 * i - 2, 2 * i - 1}, 1));
  }
  Write("test_batch.bin", CifarRecords({9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, 1));
  Write("batches.meta.txt", "plane\ncar\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n");
  const auto pair = Open(DatasetFormat::kCifar10);
  ASSERT_THAT(pair, IsOk());
  EXPECT_EQ(pair->train->size(), 10);
  EXPECT_EQ(pair->test->Label(0), 9);
  EXPECT_EQ(pair->class_names[9], "truck");
  EXPECT_EQ(pair->train->shape(), (ImageShape{3, 32, 32}));
  std::vector<uint8_t> pixels(3072);
  ASSERT_THAT(pair->train->Read(4, absl::MakeSpan(pixels)), IsOk());
  EXPECT_EQ(pixels[0], 5);
  EXPECT_EQ(pixels[1024], 2);
  EXPECT_EQ(pixels[3071], 3);
}

TEST_F(DatasetFactoryTest, ReadsTheFineLabelsOfCifar100) {
  std::vector<int> labels(100);
  for (int i = 0; i < 100; ++i) labels[static_cast<size_t>(i)] = i;
  Write("train.bin", CifarRecords(labels, 2));
  Write("test.bin", CifarRecords(labels, 2));
  const auto pair = Open(DatasetFormat::kCifar100);
  ASSERT_THAT(pair, IsOk());
  EXPECT_EQ(pair->test->classes(), 100);
  EXPECT_EQ(pair->test->Label(57), 57);
  EXPECT_THAT(pair->class_names, IsEmpty());
}

TEST_F(DatasetFactoryTest, RefusesBadCifarFiles) {
  EXPECT_THAT(Open(DatasetFormat::kCifar10),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("data_batch_1.bin")));
  for (int i = 1; i <= 5; ++i) {
    Write(absl::StrCat("data_batch_", i, ".bin"), CifarRecords({2 * i - 2, 2 * i - 1}, 1));
  }
  Write("test_batch.bin", CifarRecords({0, 1, 2}, 1));
  EXPECT_THAT(Open(DatasetFormat::kCifar10),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("a class has no image")));
  Write("data_batch_3.bin", CifarRecords({4, 10}, 1));
  EXPECT_THAT(Open(DatasetFormat::kCifar10),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("data_batch_3.bin"), HasSubstr("record=1 label=10"))));
  Write("data_batch_3.bin", CifarRecords({4, 5}, 1) + "x");
  EXPECT_THAT(Open(DatasetFormat::kCifar10),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("whole records")));
}

TEST_F(DatasetFactoryTest, ReadsAnImageFolderInTheOrderOfNames) {
  WriteImage("train/n2/deep/b.JPEG", 1);
  WriteImage("train/n2/a.jpg", 2);
  WriteImage("train/n10/z.jpeg", 3);
  Write("train/n10/notes.txt", "not an image");
  Write("train/n10/.hidden.jpg", "not an image");
  Write("train/readme.txt", "no class");
  WriteImage("val/n2/q.jpg", 4);
  Write("val/n10/r.png", PngBytes(MakePicture(9, 7, 5)));
  const auto pair = Open(DatasetFormat::kImageFolder);
  ASSERT_THAT(pair, IsOk());
  EXPECT_THAT(pair->class_names, ElementsAre("n10", "n2"));
  ASSERT_EQ(pair->train->size(), 3);
  EXPECT_EQ(pair->train->NameOf(0), directory_.Join("train/n10/z.jpeg"));
  EXPECT_EQ(pair->train->NameOf(1), directory_.Join("train/n2/a.jpg"));
  EXPECT_EQ(pair->train->NameOf(2), directory_.Join("train/n2/deep/b.JPEG"));
  EXPECT_EQ(pair->train->Label(2), 1);
  EXPECT_FALSE(pair->train->has_one_shape());
  StoredImage image;
  ASSERT_THAT(pair->train->Fetch(2, &image), IsOk());
  EXPECT_EQ(image.form, StoredImage::Form::kEncoded);
  EXPECT_EQ(std::string(image.bytes.begin(), image.bytes.end()), JpegBytes(MakePicture(21, 30, 1)));
  EXPECT_THAT(Open(DatasetFormat::kImageFolder, 3),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("found=2 want=3")));
}

TEST_F(DatasetFactoryTest, RefusesImageFoldersThatDoNotFit) {
  EXPECT_THAT(Open(DatasetFormat::kImageFolder),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("train")));
  WriteImage("train/a/1.jpg", 1);
  WriteImage("train/b/1.jpg", 1);
  WriteImage("test/a/1.jpg", 1);
  EXPECT_THAT(Open(DatasetFormat::kImageFolder),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("classes of training and test images differ"),
                             HasSubstr("first_train=b first_test=none"))));
  Write("test/b/note.txt", "");
  EXPECT_THAT(Open(DatasetFormat::kImageFolder),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("a class has no image; class=b"),
                             HasSubstr("files_without_image_ending=1"))));
}

TEST_F(DatasetFactoryTest, StopsAtLinksThatLeadBack) {
  WriteImage("a/1.jpg", 1);
  ASSERT_EQ(symlink(".", directory_.Join("a/again").c_str()), 0);
  EXPECT_THAT(Open(DatasetFormat::kImageFolderTest),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("too deeply")));
}

TEST_F(DatasetFactoryTest, BoundsTheMemoryOfNames) {
  for (int i = 0; i < 10; ++i) WriteImage(absl::StrCat("a/", i, ".jpg"), 1);
  DatasetOptions options;
  options.path = directory_.path();
  options.format = DatasetFormat::kImageFolderTest;
  options.max_bytes = 100;
  EXPECT_THAT(OpenDataset(options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("limit_bytes=100")));
}

TEST_F(DatasetFactoryTest, ATestFolderHasNoTrainingImages) {
  WriteImage("n2/1.jpg", 1);
  WriteImage("n1/1.jpg", 1);
  const auto pair = Open(DatasetFormat::kImageFolderTest);
  ASSERT_THAT(pair, IsOk());
  EXPECT_EQ(pair->train, nullptr);
  EXPECT_EQ(pair->test->size(), 2);
  EXPECT_THAT(pair->class_names, ElementsAre("n1", "n2"));
}

TEST_F(DatasetFactoryTest, ReadsTinyImageNetAsDownloaded) {
  for (const char* name : {"n02", "n01"}) {
    WriteImage(absl::StrCat("train/", name, "/images/", name, "_0.JPEG"), 1);
    Write(absl::StrCat("train/", name, "/", name, "_boxes.txt"), "n01_0.JPEG 0 0 62 62\n");
  }
  for (int i = 0; i < 3; ++i) WriteImage(absl::StrCat("val/images/val_", i, ".JPEG"), i);
  Write("val/val_annotations.txt",
        "val_0.JPEG\tn02\t0\t32\t44\t62\nval_1.JPEG\tn01\t52\t55\t57\t59\r\nval_2.JPEG\tn02\t0\n");
  auto pair = Open(DatasetFormat::kTinyImageNet);
  ASSERT_THAT(pair, IsOk());
  EXPECT_THAT(pair->class_names, ElementsAre("n01", "n02"));
  EXPECT_EQ(pair->train->size(), 2);
  EXPECT_EQ(pair->test->size(), 3);
  EXPECT_EQ(pair->test->Label(0), 1);
  EXPECT_EQ(pair->test->Label(1), 0);
  EXPECT_EQ(pair->test->NameOf(2), directory_.Join("val/images/val_2.JPEG"));

  Write("val/val_annotations.txt", "val_0.JPEG\tn02\nval_1.JPEG\tn03\n");
  EXPECT_THAT(Open(DatasetFormat::kTinyImageNet),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("no folder in train/"), HasSubstr("line=2"))));
  Write("val/val_annotations.txt", "val_0.JPEG\tn02\nval_9.JPEG\tn01\n");
  EXPECT_THAT(Open(DatasetFormat::kTinyImageNet),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("val_9.JPEG")));
  Write("val/val_annotations.txt", "../../../etc/passwd\tn02\n");
  EXPECT_THAT(Open(DatasetFormat::kTinyImageNet),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("leads elsewhere")));
}

class CubTest : public DatasetFactoryTest {
 protected:
  void SetUp() override {
    for (const char* name : {"001.A/x.jpg", "001.A/y.jpg", "002.B/x.jpg", "002.B/y.jpg"}) {
      WriteImage(absl::StrCat("CUB_200_2011/images/", name), 1);
    }
    Rewrite("images.txt", "1 001.A/x.jpg\n2 001.A/y.jpg\n3 002.B/x.jpg\n10 002.B/y.jpg\n");
    Rewrite("image_class_labels.txt", "1 1\n2 1\n3 2\n10 2\n");
    Rewrite("train_test_split.txt", "1 1\n2 0\n3 0\n10 1\n");
    Rewrite("classes.txt", "1 001.A\n2 002.B\n");
  }
  void Rewrite(const std::string& name, absl::string_view text) {
    Write(absl::StrCat("CUB_200_2011/", name), text);
  }
};

TEST_F(CubTest, ReadsByItsTextFiles) {
  const auto pair = Open(DatasetFormat::kCub, 2);
  ASSERT_THAT(pair, IsOk());
  EXPECT_EQ(pair->train->size(), 2);
  EXPECT_EQ(pair->train->NameOf(1), directory_.Join("CUB_200_2011/images/002.B/y.jpg"));
  EXPECT_EQ(pair->train->Label(1), 1);
  EXPECT_EQ(pair->test->Label(0), 0);
  EXPECT_THAT(pair->class_names, ElementsAre("001.A", "002.B"));
}

TEST_F(CubTest, RefusesFilesThatDoNotFit) {
  const auto expect_refused = [this](absl::string_view name, absl::string_view text,
                                     const std::string& why) {
    SetUp();
    Rewrite(std::string(name), text);
    EXPECT_THAT(Open(DatasetFormat::kCub),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(why)));
  };
  expect_refused("image_class_labels.txt", "1 1\n2 1\n3 2\n", "do not name the same images; id=10");
  expect_refused("image_class_labels.txt", "1 1\n2 1\n3 2\n10 2\n11 1\n", "id=11");
  expect_refused("image_class_labels.txt", "1 1\n2 1\n3 2\n10 0\n", "a label must be 1");
  expect_refused("image_class_labels.txt", "1 1\n2 1\n3 2\n10 3\n", "does not fit the labels");
  expect_refused("image_class_labels.txt", "1 1\n1 1\n3 2\n10 3\n", "twice");
  expect_refused("image_class_labels.txt", "one 1\n", "line=1");
  expect_refused("train_test_split.txt", "1 1\n2 2\n3 0\n10 1\n", "want 1 (train) or 0 (test)");
  expect_refused("train_test_split.txt", "1 1\n2 1\n3 0\n10 1\n", "a class has no image; class=0");
  expect_refused("images.txt", "1 /etc/passwd\n2 001.A/y.jpg\n3 002.B/x.jpg\n10 002.B/y.jpg\n",
                 "leads elsewhere");
  expect_refused("classes.txt", "1 001.A\n3 002.B\n", "missing=2");
}

TEST_F(DatasetFactoryTest, ReadsTarShards) {
  const std::string image = JpegBytes(MakePicture(20, 30, 1));
  const std::string other = PngBytes(MakePicture(10, 11, 2));
  Write("train-000001.tar",
        TarBytes({{"b/4.cls", " 1\n"}, {"b/4.json", "{}"}, {"b/4.PNG", other}}));
  Write("train-000000.tar", TarBytes({{"a/1.jpg", image},
                                      {"a/1.cls", "0"},
                                      {"README", "text"},
                                      {"a/2.jpeg", image + image},
                                      {"a/2.cls", "1"}}));
  Write("val-0.tar",
        TarBytes({{"1.jpg", image}, {"1.cls", "1"}, {"2.jpg", image}, {"2.cls", "0"}}));
  auto pair = Open(DatasetFormat::kTarShards);
  ASSERT_THAT(pair, IsOk());
  ASSERT_EQ(pair->train->size(), 3);
  EXPECT_EQ(pair->train->classes(), 2);
  EXPECT_EQ(pair->train->Label(0), 0);
  EXPECT_EQ(pair->train->Label(2), 1);
  EXPECT_EQ(pair->train->NameOf(2), directory_.Join("train-000001.tar") + ":b/4.PNG");
  StoredImage stored;
  ASSERT_THAT(pair->train->Fetch(2, &stored), IsOk());
  EXPECT_EQ(std::string(stored.bytes.begin(), stored.bytes.end()), other);
  ASSERT_THAT(pair->train->Fetch(1, &stored), IsOk());
  EXPECT_EQ(stored.bytes.size(), 2 * image.size());

  Write("classes.txt", "cat\ndog\n");
  pair = Open(DatasetFormat::kTarShards);
  ASSERT_THAT(pair, IsOk());
  EXPECT_THAT(pair->class_names, ElementsAre("cat", "dog"));
  Write("classes.txt", "cat\n");
  EXPECT_THAT(Open(DatasetFormat::kTarShards),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("label is out of range; image=a/2.jpeg label=1 classes=1")));
}

TEST_F(DatasetFactoryTest, RefusesBadTarShards) {
  const std::string good = TarBytes({{"1.jpg", "x"}, {"1.cls", "0"}});
  Write("val-0.tar", good);
  EXPECT_THAT(Open(DatasetFormat::kTarShards),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("train=0 test=1")));
  const auto expect_refused = [this](absl::string_view bytes, const std::string& why) {
    Write("train-0.tar", bytes);
    EXPECT_THAT(Open(DatasetFormat::kTarShards),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("train-0.tar"), HasSubstr(why))));
  };
  expect_refused(good.substr(0, good.size() - 1024), "does not end with zeros");
  expect_refused(good.substr(0, 700), "does not end with zeros");
  expect_refused(good.substr(0, 512), "reaches beyond its end; entry=1.jpg");
  expect_refused("", "does not end with zeros");
  std::string damaged = good;
  damaged[3] = 'z';
  expect_refused(damaged, "wrong checksum; offset=0");
  expect_refused(TarBytes({{"1.jpg", "x"}, {"2.cls", "0"}}),
                 "no .cls beside its image; pack with tar --sort=name; entry=1");
  expect_refused(TarBytes({{"1.cls", "0"}}), "no .jpg, .jpeg or .png beside its label; pack with");
  expect_refused(TarBytes({{"1.jpg", "x"}, {"1.png", "x"}}), "two images; entry=1.png");
  expect_refused(TarBytes({{"1.jpg", "x"}, {"1.cls", "cat"}}), "the label is no number");
  expect_refused(TarBytes({{"1.jpg", "x"}, {"1.cls", "-1"}}), "the label is no number");
  expect_refused(TarBytes({{"1.jpg", "x"}, {"1.cls", "100000"}}), "the label is no number");
  expect_refused(TarEntryBytes("1.jpg", "", '2') + good, "neither file nor folder");
}

TEST_F(DatasetFactoryTest, ReadsLongNamesInTarShards) {
  const std::string longer(180, 'n');
  const std::string pax_path = absl::StrCat("path=p/", longer, ".cls\n");
  const std::string record = absl::StrCat(pax_path.size() + 4, " ", pax_path);
  const std::string train =
      TarEntryBytes("p/", "", '5') +
      TarEntryBytes("././@LongLink", absl::StrCat("p/", longer, ".jpg"), 'L') +
      TarEntryBytes("cut short", "image", '0') + TarEntryBytes("PaxHeaders/x", record, 'x') +
      TarEntryBytes("cut short too", "0", '0') + std::string(1024, '\0');
  Write("train-0.tar", train);
  Write("val-0.tar", TarBytes({{"1.jpg", "x"}, {"1.cls", "0"}}));
  const auto pair = Open(DatasetFormat::kTarShards);
  ASSERT_THAT(pair, IsOk());
  EXPECT_EQ(pair->train->NameOf(0),
            absl::StrCat(directory_.Join("train-0.tar"), ":p/", longer, ".jpg"));
}

}  // namespace
}  // namespace distill::data
