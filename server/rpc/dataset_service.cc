#include "server/rpc/dataset_service.h"

#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/error_details.h"
#include "base/error_reasons.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "server/datasets/dataset_description.h"
#include "server/rpc/page_token.h"

namespace distill::server {
namespace {

Digest BodyDigest(const v1::CreateDatasetRequest& request) {
  return Digest::OfBytes(
      absl::StrCat(request.name(), "\n", request.source().SerializeAsString(), request.project()));
}

// The project that is to have it; empty: everybody.
ProjectId OwnerOf(const v1::CreateDatasetRequest& request) {
  if (request.project() == kAllProjects) return ProjectId();
  return ProjectId(request.project().empty() ? kDefaultProject : request.project());
}

void LeaveOutLongLists(v1::Dataset* dataset) {
  if (!dataset->has_facts()) return;
  dataset->mutable_facts()->clear_class_names();
  for (v1::DatasetSplit& split : *dataset->mutable_facts()->mutable_splits()) {
    split.clear_images_per_class();
    split.clear_corrupt_images();
  }
}

}  // namespace

DatasetService::DatasetService(const RpcDependencies& dependencies)
    : dependencies_(dependencies),
      metrics_(*dependencies.clock, *dependencies.metrics, *dependencies.gate,
               dependencies.open_calls) {}

grpc::ServerUnaryReactor* DatasetService::CreateDataset(grpc::CallbackServerContext* context,
                                                        const v1::CreateDatasetRequest* request,
                                                        v1::Dataset* response) {
  return StartCall(context, "CreateDataset", metrics_, *request, [&](const UnaryCallPtr& call) {
    const absl::Status queued = dependencies_.queries->Submit([this, call, request, response] {
      const DatasetName name(request->name());
      const RequestId request_id(request->request_id());
      const absl::StatusOr<storage::DatasetRecord> known = dependencies_.store->GetDataset(name);
      // A repeat is answered even if the folder has gone since.
      if (!known.ok() || known->request != request_id) {
        absl::Status folder =
            dependencies_.datasets->CheckMayNameFolders(call->caller(), "source.path");
        if (folder.ok()) folder = dependencies_.datasets->CheckFolder(request->source().path());
        if (!folder.ok()) {
          return call->Finish(Annotate(folder, "cannot create data set: source.path"));
        }
      }
      dependencies_.driver->Post(
          server::CreateDataset{name, request_id, BodyDigest(*request),
                                request->source().SerializeAsString(), OwnerOf(*request)},
          [this, call, name, request_id, response](absl::StatusOr<CreateDatasetReply> reply) {
            if (!reply.ok()) return call->Finish(reply.status());
            if (!reply->existed) dependencies_.dataset_reader->Read(name, request_id);
            Show(call, name.str(), *response);
          });
    });
    if (!queued.ok()) call->Finish(queued);
  });
}

v1::Dataset DatasetService::View(const storage::DatasetRecord& record, const WorkByName& work) {
  v1::Dataset dataset = ToProto(record);
  const auto found = work.find(record.name);
  if (found == work.end()) return dataset;
  *dataset.mutable_scan() = found->second.scan;
  if (!found->second.verification_request.empty()) {
    v1::DatasetVerification running;
    running.set_state(v1::DatasetVerification::STATE_RUNNING);
    running.set_request_id(found->second.verification_request);
    *dataset.mutable_verification() = running;
  }
  return dataset;
}

absl::StatusOr<storage::DatasetRecord> DatasetService::Find(const std::string& name,
                                                            const Caller& caller, Role role) const {
  absl::StatusOr<storage::DatasetRecord> record =
      dependencies_.store->GetDataset(DatasetName(name));
  if (absl::IsNotFound(record.status()) ||
      (record.ok() && !MayUse(caller, *record, Role::kViewer))) {
    return absl::NotFoundError(absl::StrCat(
        "cannot find data set: none of this name; see `distill dataset list`; dataset=", name));
  }
  if (record.ok() && !MayUse(caller, *record, role)) {
    const std::string project = record->project.empty() ? kAllProjects : record->project.str();
    return absl::PermissionDeniedError(absl::StrCat("cannot change data set: it takes the role ",
                                                    Name(role), "; project=", project,
                                                    " dataset=", name, " caller=", caller.name));
  }
  return record;
}

absl::Status DatasetService::Read(const std::string& name, const Caller& caller,
                                  v1::Dataset& response) const {
  const WorkByName work = dependencies_.dataset_reader->Work();
  DISTILL_ASSIGN_OR_RETURN(const storage::DatasetRecord record, Find(name, caller, Role::kViewer));
  response = View(record, work);
  return absl::OkStatus();
}

void DatasetService::Show(const UnaryCallPtr& call, const std::string& name,
                          v1::Dataset& response) {
  RunOn(*dependencies_.queries, call,
        [this, name, caller = call->caller(), &response] { return Read(name, caller, response); });
}

grpc::ServerUnaryReactor* DatasetService::GetDataset(grpc::CallbackServerContext* context,
                                                     const v1::GetDatasetRequest* request,
                                                     v1::Dataset* response) {
  return StartCall(context, "GetDataset", metrics_, *request,
                   [&](const UnaryCallPtr& call) { Show(call, request->name(), *response); });
}

absl::Status DatasetService::ReadPage(const v1::ListDatasetsRequest& request, const Caller& caller,
                                      v1::ListDatasetsResponse& response) const {
  const int limit = request.page_size() == 0 ? kMostPageSize : request.page_size();
  const PageScope scope{"datasets", ""};
  DISTILL_ASSIGN_OR_RETURN(const std::string after, ReadPageToken(scope, request.page_token()));
  const WorkByName work = dependencies_.dataset_reader->Work();
  DISTILL_ASSIGN_OR_RETURN(const std::vector<storage::DatasetRecord> records,
                           dependencies_.store->ListDatasets(DatasetName(after), limit + 1));
  int seen = 0;  // A page holds fewer when some are not the caller's.
  for (const storage::DatasetRecord& record : records) {
    if (++seen > limit) {
      response.set_next_page_token(
          MakePageToken(scope, records[static_cast<size_t>(limit) - 1].name.str()));
      break;
    }
    if (!MayUse(caller, record, Role::kViewer)) continue;
    *response.add_datasets() = View(record, work);
    LeaveOutLongLists(response.mutable_datasets(response.datasets_size() - 1));
  }
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* DatasetService::ListDatasets(grpc::CallbackServerContext* context,
                                                       const v1::ListDatasetsRequest* request,
                                                       v1::ListDatasetsResponse* response) {
  return StartCall(context, "ListDatasets", metrics_, *request, [&](const UnaryCallPtr& call) {
    RunOn(*dependencies_.queries, call, [this, caller = call->caller(), request, response] {
      return ReadPage(*request, caller, *response);
    });
  });
}

absl::Status DatasetService::StartVerification(const v1::VerifyDatasetRequest& request,
                                               const Caller& caller, v1::Dataset& response) const {
  const WorkByName work = dependencies_.dataset_reader->Work();
  DISTILL_ASSIGN_OR_RETURN(const storage::DatasetRecord record,
                           Find(request.name(), caller, Role::kEditor));
  response = View(record, work);
  if (response.state() != v1::DATASET_STATE_READY) {
    return WithReason(absl::FailedPreconditionError(absl::StrCat(
                          "cannot verify data set: it is not ready; dataset=", request.name(),
                          " state=", v1::DatasetState_Name(response.state()))),
                      reason::kDatasetNotReady);
  }
  const v1::DatasetVerification& last = response.verification();
  if (last.state() == v1::DatasetVerification::STATE_RUNNING ||
      last.request_id() == request.request_id()) {
    return absl::OkStatus();
  }
  dependencies_.dataset_reader->Verify(record.name, record.request, request.request_id());
  return Read(request.name(), caller, response);
}

grpc::ServerUnaryReactor* DatasetService::VerifyDataset(grpc::CallbackServerContext* context,
                                                        const v1::VerifyDatasetRequest* request,
                                                        v1::Dataset* response) {
  return StartCall(context, "VerifyDataset", metrics_, *request, [&](const UnaryCallPtr& call) {
    RunOn(*dependencies_.queries, call, [this, caller = call->caller(), request, response] {
      return StartVerification(*request, caller, *response);
    });
  });
}

grpc::ServerUnaryReactor* DatasetService::DeleteDataset(grpc::CallbackServerContext* context,
                                                        const v1::DeleteDatasetRequest* request,
                                                        v1::DeleteDatasetResponse*) {
  return StartCall(context, "DeleteDataset", metrics_, *request, [&](const UnaryCallPtr& call) {
    if (call->caller().Everywhere(Role::kEditor)) return Delete(call, *request);
    const absl::Status queued = dependencies_.queries->Submit([this, call, request] {
      const absl::Status found = Find(request->name(), call->caller(), Role::kEditor).status();
      if (found.ok()) return Delete(call, *request);
      const bool fine = absl::IsNotFound(found) && request->allow_missing();
      call->Finish(fine ? absl::OkStatus() : found);
    });
    if (!queued.ok()) call->Finish(queued);
  });
}

void DatasetService::Delete(const UnaryCallPtr& call, const v1::DeleteDatasetRequest& request) {
  const DatasetName name(request.name());
  const bool allow_missing = request.allow_missing();
  dependencies_.driver->Post(
      server::DeleteDataset{name}, [this, call, name, allow_missing](absl::StatusOr<Done> reply) {
        if (reply.ok()) dependencies_.dataset_reader->Cancel(name);
        const bool gone = absl::IsNotFound(reply.status());
        call->Finish(gone && allow_missing ? absl::OkStatus() : reply.status());
      });
}

}  // namespace distill::server
