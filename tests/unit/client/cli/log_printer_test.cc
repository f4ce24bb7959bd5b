// Logs are printed in whole lines, however they come, and only as far back as was asked for.
#include "client/cli/log_printer.h"

#include <sstream>

#include "gtest/gtest.h"

namespace distill::client {
namespace {

TEST(LogPrinterTest, LinesOfSeveralLogsStayWhole) {
  std::ostringstream out;
  LogPrinter printer(out, absl::InfinitePast(), NamedLine);
  LogSink a(printer, "a");
  LogSink b(printer, "b");
  a.Write("one\ntw");
  b.Write("uno\n");
  a.Write("o\nthree");
  a.Finish();
  b.Finish();
  EXPECT_EQ(out.str(), "[a] one\n[b] uno\n[a] two\n[a] three\n");
}

TEST(LogPrinterTest, OldLinesAreLeftOut) {
  std::ostringstream out;
  absl::Time since;
  std::string error;
  ASSERT_TRUE(absl::ParseTime(absl::RFC3339_full, "2026-11-23T10:00:00Z", &since, &error));
  LogPrinter printer(out, since, BareLine);
  LogSink sink(printer, "");
  sink.Write(
      "# job/task attempt 1\n"
      "2026-11-23T09:59:59.999Z I old\n"
      "  more of the old line\n"
      "2026-11-23T10:00:00.000Z I new\n"
      "  more of the new line\n"
      "{\"time\":\"2026-11-23T09:00:00.000Z\",\"message\":\"old\"}\n"
      "{\"time\":\"2026-11-23T11:00:00.000Z\",\"message\":\"new\"}\n");
  EXPECT_EQ(out.str(),
            "# job/task attempt 1\n"
            "2026-11-23T10:00:00.000Z I new\n"
            "  more of the new line\n"
            "{\"time\":\"2026-11-23T11:00:00.000Z\",\"message\":\"new\"}\n");
}

TEST(LogPrinterTest, JsonHoldsLinesThatAreNoText) {
  EXPECT_EQ(JsonLine("a", "say \"x\""), "{\"task\":\"a\",\"line\":\"say \\\"x\\\"\"}\n");
  EXPECT_EQ(JsonLine("a", "\xff"), "{\"task\":\"a\",\"line\":\"\xEF\xBF\xBD\"}\n");
}

}  // namespace
}  // namespace distill::client
