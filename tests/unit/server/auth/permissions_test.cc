// No call is without a rule, and no rule without a call.
#include "server/auth/permissions.h"

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor_database.h"

namespace distill::server {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::MethodDescriptor;

// All calls of the protocol, by name; CMakeLists.txt links all of it into this test.
std::map<std::string, const MethodDescriptor*> AllMethods() {
  const DescriptorPool* const pool = DescriptorPool::generated_pool();
  std::vector<std::string> names;
  DescriptorPool::internal_generated_database()->FindAllFileNames(&names);
  std::map<std::string, const MethodDescriptor*> methods;
  for (const std::string& name : names) {
    if (!absl::StartsWith(name, "distill/v1/")) continue;
    const FileDescriptor* const file = pool->FindFileByName(name);
    for (int i = 0; i < file->service_count(); ++i) {
      for (int j = 0; j < file->service(i)->method_count(); ++j) {
        const MethodDescriptor* method = file->service(i)->method(j);
        EXPECT_TRUE(methods.emplace(method->name(), method).second)
            << method->full_name() << ": another service has a call of this name";
      }
    }
  }
  return methods;
}

bool HasText(const Descriptor& message, const std::string& path) {
  const size_t dot = path.find('.');
  const FieldDescriptor* field = message.FindFieldByName(path.substr(0, dot));
  if (field == nullptr || field->is_repeated()) return false;
  if (dot == std::string::npos) return field->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
  return field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
         HasText(*field->message_type(), path.substr(dot + 1));
}

TEST(PermissionsTest, EveryCallHasOneRule) {
  EXPECT_GE(AllMethods().size(), 54u);
  std::set<std::string> ruled;
  for (const Rule& rule : Rules()) {
    EXPECT_TRUE(ruled.insert(rule.method).second) << rule.method << " stands twice in the table";
  }
  for (const auto& [name, method] : AllMethods()) {
    const Rule* rule = FindRule(name);
    ASSERT_NE(rule, nullptr) << method->full_name()
                             << " has no rule: say in server/auth/permissions.cc what it takes";
    EXPECT_EQ(method->service()->name(), rule->service) << name;
    ruled.erase(name);
  }
  EXPECT_THAT(ruled, ::testing::IsEmpty()) << "rules of calls that do not exist";
  EXPECT_EQ(FindRule("GetJobs"), nullptr);
}

// A rule about a field that is not there would let everybody in.
TEST(PermissionsTest, EveryScopeFindsItsField) {
  const auto methods = AllMethods();
  for (const Rule& rule : Rules()) {
    const auto found = methods.find(rule.method);
    ASSERT_NE(found, methods.end()) << rule.method;
    const Descriptor& request = *found->second->input_type();
    const auto has_any = [&](std::initializer_list<const char*> paths) {
      for (const char* path : paths) {
        if (HasText(request, path)) return true;
      }
      return false;
    };
    if (rule.scope == Scope::kKey) EXPECT_TRUE(has_any({"key"})) << rule.method;
    if (rule.scope == Scope::kJob || rule.scope == Scope::kKey) {
      EXPECT_TRUE(has_any({"job"})) << rule.method;
    }
    if (rule.scope == Scope::kProject || rule.scope == Scope::kKey ||
        rule.scope == Scope::kProjectOrAll) {
      EXPECT_TRUE(has_any({"project", "spec.project"})) << rule.method;
    }
    if (rule.scope == Scope::kWorker) {
      EXPECT_TRUE(has_any({"worker_id", "worker.worker_id"})) << rule.method;
    }
    if (rule.scope == Scope::kServer && HasText(request, "job")) {
      ADD_FAILURE() << rule.method << " is about a job, so its scope must be kJob";
    }
  }
}

// Whoever changes something is written down.
TEST(PermissionsTest, CallsThatTakeMoreThanAViewerAreAudited) {
  const std::set<std::string> reads = {"ListTokens", "FindMissing", "QueryUpload", "LocateUpload",
                                       "PlanJob"};
  for (const Rule& rule : Rules()) {
    const bool changes =
        rule.permission == Permission::kEdit || rule.permission == Permission::kAdminister ||
        rule.permission == Permission::kOperate || rule.permission == Permission::kEditOrWork;
    if (!changes || reads.count(rule.method) != 0) continue;
    EXPECT_NE(rule.audit, Audit::kRefusals) << rule.method;
  }
}

}  // namespace
}  // namespace distill::server
