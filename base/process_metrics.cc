#include "base/process_metrics.h"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace distill {
namespace {

// Fields of /proc/self/stat after the program's name, counted as proc(5) counts them.
constexpr size_t kFirstField = 3;
constexpr size_t kUserTime = 14;
constexpr size_t kSystemTime = 15;
constexpr size_t kStartTime = 22;
constexpr size_t kVirtualBytes = 23;
constexpr size_t kResidentPages = 24;

std::string Read(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void Append(const char* name, const char* type, const char* help, double value, std::string& text,
            absl::string_view labels = "") {
  absl::StrAppend(&text, "# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n", name,
                  labels, absl::StrFormat(" %.17g\n", value));
}

// When this process started, `ticks` clock ticks after the machine did. Told alike by all calls,
// though the clocks are set meanwhile: who looks at it looks for restarts.
double StartTime(double ticks) {
  static const double start_time = [ticks] {
    timespec wall{};
    timespec since_boot{};
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &since_boot);
    const absl::Duration uptime = absl::DurationFromTimespec(since_boot);
    return absl::ToDoubleSeconds(absl::DurationFromTimespec(wall) - uptime) +
           ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
  }();
  return start_time;
}

void AppendStat(std::string& text) {
  const std::string stat = Read("/proc/self/stat");
  const size_t end_of_name = stat.rfind(") ");
  if (end_of_name == std::string::npos) return;
  const std::vector<std::string> fields = absl::StrSplit(stat.substr(end_of_name + 2), ' ');
  const auto number = [&fields](size_t field) {
    double value = 0;
    return field - kFirstField < fields.size() &&
                   absl::SimpleAtod(fields[field - kFirstField], &value)
               ? value
               : 0;
  };
  const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  const double page = static_cast<double>(sysconf(_SC_PAGESIZE));
  Append("process_start_time_seconds", "gauge", "When the process started, since 1970.",
         StartTime(number(kStartTime)), text);
  Append("process_cpu_seconds_total", "counter", "User and system time.",
         (number(kUserTime) + number(kSystemTime)) / ticks, text);
  Append("process_resident_memory_bytes", "gauge", "Memory that is in use.",
         number(kResidentPages) * page, text);
  Append("process_virtual_memory_bytes", "gauge", "Memory that is mapped.", number(kVirtualBytes),
         text);
}

void AppendDescriptors(std::string& text) {
  std::error_code error;
  const std::filesystem::directory_iterator open("/proc/self/fd", error);
  rlimit limit{};
  if (error || getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  Append("process_open_fds", "gauge", "Open file descriptors.",
         static_cast<double>(std::distance(begin(open), end(open))), text);
  Append("process_max_fds", "gauge", "Most file descriptors that may be open.",
         static_cast<double>(limit.rlim_cur), text);
}

}  // namespace

std::string ExposeProcessMetrics() {
  std::string text;
  Append("distill_build_info", "gauge", "1; the label tells the version.", 1, text,
         "{version=\"" DISTILL_VERSION "\"}");
  AppendStat(text);
  AppendDescriptors(text);
  return text;
}

}  // namespace distill
