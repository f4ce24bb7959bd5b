// Fills in the parts of a report that only some jobs have.
#pragma once

#include "distill/v1/report.pb.h"
#include "server/report/report_tasks.h"
#include "storage/blob/blob_store.h"
#include "storage/state/state_store.h"

namespace distill::server {

// Each leaves its part empty when the job has none of it; results that cannot be read become
// warnings.
void AddPrior(const ReportInputs& inputs, const storage::BlobStore& blobs, v1::Report& report);
// Also warns of modules that were taken although no candidate passed the gate.
void AddVerdicts(const ReportInputs& inputs, const storage::BlobStore& blobs, v1::Report& report);
void AddFewShot(const ReportInputs& inputs, const storage::BlobStore& blobs, v1::Report& report);
void AddTrainingEnds(const ReportInputs& inputs, const storage::BlobStore& blobs,
                     v1::Report& report);

// Adds a warning for each registered data set of the job whose corrupt images are left out, with
// the first of them by name.
void AddLeftOutImages(const v1::JobSpec& spec, const storage::StateStore& store,
                      v1::Report& report);

}  // namespace distill::server
