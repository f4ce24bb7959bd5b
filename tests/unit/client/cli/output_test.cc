#include "client/cli/output.h"

#include <limits>
#include <set>
#include <sstream>

#include "client/cli/series_csv.h"
#include "distill/v1/job.pb.h"
#include "gmock/gmock.h"

namespace distill::client {
namespace {

using ::testing::HasSubstr;

TEST(OutputTest, AlignsTables) {
  std::ostringstream out;
  PrintTable({"A", "LONG NAME", "C"}, {{"value", "x", "two\nlines"}, {"v", "yy", ""}}, out);
  EXPECT_EQ(out.str(),
            "A      LONG NAME  C\n"
            "value  x          two lines\n"
            "v      yy         \n");
}

TEST(OutputTest, LeavesEmptyFieldsOut) {
  std::ostringstream out;
  PrintFields({{"job", "job-1"}, {"failure", ""}, {"state", "running"}}, out);
  EXPECT_EQ(out.str(), "job    job-1\nstate  running\n");
}

// Programs read it: names as in the .proto files, and no field missing because it is zero.
TEST(OutputTest, WritesStableJson) {
  v1::Job job;
  job.set_id("job-1");
  const std::string json = ToJson(job, JsonShape::kOneLine);
  EXPECT_THAT(json, HasSubstr("\"id\":\"job-1\""));
  EXPECT_THAT(json, HasSubstr("\"tasks_total\":0"));
  EXPECT_THAT(json, HasSubstr("\"state\":\"JOB_STATE_UNSPECIFIED\""));
  EXPECT_EQ(json.back(), '\n');
  EXPECT_EQ(json.find('\n'), json.size() - 1);
}

TEST(SeriesCsvTest, LeavesNumbersThatDoNotExistEmpty) {
  v1::Series series;
  v1::Series::Point& point = *series.add_points();
  point.set_step(10);
  point.set_loss(0.5);
  point.set_learning_rate(1e-3);
  point.set_images_per_second(1234.5);
  point.set_cross_entropy(std::numeric_limits<double>::quiet_NaN());
  point.set_distillation(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(SeriesCsvHeader({}) + SeriesCsvRows("pretrain-meta", series, {}),
            "task,step,loss,learning_rate,images_per_second,cross_entropy,distillation,accuracy,"
            "teacher_accuracy\n"
            "pretrain-meta,10,0.5,0.001,1234.5,,,,\n");
  point.set_accuracy(0.25);
  EXPECT_EQ(SeriesCsvRows("pretrain-meta", series, {}),
            "pretrain-meta,10,0.5,0.001,1234.5,,,0.25,\n");
}

TEST(SeriesCsvTest, TermsOfTheLossHaveColumns) {
  v1::Series series;
  v1::Series::Point& point = *series.add_points();
  point.set_step(1);
  v1::Series::Term& load = *point.add_terms();
  load.set_name("router_load");
  load.set_value(0.25);
  load.set_weight(0.005);
  EXPECT_THAT(TermNames(series), testing::ElementsAre("router_load"));
  const std::set<std::string> terms = {"router_importance", "router_load"};
  EXPECT_EQ(
      SeriesCsvHeader(terms) + SeriesCsvRows("distill-module-0", series, terms),
      "task,step,loss,learning_rate,images_per_second,cross_entropy,distillation,accuracy,"
      "teacher_accuracy,router_importance,router_importance_weight,router_load,router_load_weight\n"
      "distill-module-0,1,0,0,0,0,0,,,,,0.25,0.005\n");
}

TEST(YamlTest, HasTheStructureOfTheJson) {
  EXPECT_EQ(JsonToYaml(R"({"a":1,"b":{"c":"x","d":[]},"e":[{"f":true,"g":null},[1,2]],"h":{}})"),
            "a: 1\n"
            "b:\n"
            "  c: x\n"
            "  d: []\n"
            "e:\n"
            "  - f: true\n"
            "    g: null\n"
            "  - - 1\n"
            "    - 2\n"
            "h: {}\n");
}

TEST(YamlTest, QuotesWhatWouldBeReadOtherwise) {
  EXPECT_EQ(JsonToYaml(R"({"a":"true","b":"1","c":"","d":"x: y","e":"-","f":"job-1","g":"a\nb"})"),
            "a: \"true\"\nb: \"1\"\nc: \"\"\nd: \"x: y\"\ne: \"-\"\nf: job-1\ng: \"a\\nb\"\n");
}

}  // namespace
}  // namespace distill::client
