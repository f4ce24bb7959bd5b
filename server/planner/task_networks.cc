#include "server/planner/task_networks.h"

#include <algorithm>
#include <utility>

#include "storage/weights/stage_depths.h"

namespace distill::server {
namespace {

v1::StudentSpec Student(v1::NacSpec nac) {
  v1::StudentSpec student;
  *student.mutable_nac() = std::move(nac);
  return student;
}

void CopyAttention(const v1::NacSpec& from, v1::NacSpec& to) {
  to.set_state_dim(from.state_dim());
  to.set_code_dim(from.code_dim());
  to.set_heads(from.heads());
  to.set_head_dim(from.head_dim());
  to.set_ffn_capacity_factor(from.ffn_capacity_factor());
}

void CopyTokenizer(const v1::NacSpec& from, v1::NacSpec& to) {
  *to.mutable_tokenizer_depths() = from.tokenizer_depths();
  to.set_tokenizer_stem(from.tokenizer_stem());
  to.set_grid_channels(from.grid_channels());
}

// All that the shapes of the whole network's parameters depend on.
v1::NacSpec Shapes(const v1::NacSpec& nac) {
  v1::NacSpec shapes;
  CopyAttention(nac, shapes);
  CopyTokenizer(nac, shapes);
  shapes.set_signature_dim(nac.signature_dim());
  shapes.set_input_latents(nac.input_latents());
  shapes.set_mediator_latents(nac.mediator_latents());
  shapes.set_output_latents(nac.output_latents());
  shapes.set_share_layers(nac.share_layers());
  shapes.set_keep_stitches(nac.keep_stitches());
  // Decides what the bandwidths are a function of.
  shapes.set_reference_bandwidth(nac.reference_bandwidth());
  return shapes;
}

void CopyKernel(const v1::NacSpec& from, v1::NacSpec& to) { to.set_truncation(from.truncation()); }

void CopyNoise(const v1::NacSpec& from, v1::NacSpec& to) {
  to.set_code_noise(from.code_noise());
  to.set_reference_link_sampling(from.reference_link_sampling());
}

bool IsMeanOfMediators(const v1::NacSpec& nac) {
  return nac.share_layers() && nac.shared_layer() == v1::NAC_SHARED_LAYER_MEAN;
}

// The graph without its fit: only the fields that its kind uses.
v1::GraphPriorSpec Graph(const v1::GraphPriorSpec& prior) {
  v1::GraphPriorSpec graph;
  graph.set_kind(prior.kind());
  switch (prior.kind()) {
    case v1::GRAPH_PRIOR_KIND_SCALE_FREE:
      graph.set_attachments(prior.attachments());
      break;
    case v1::GRAPH_PRIOR_KIND_PLANTED_PARTITION:
      graph.set_communities(prior.communities());
      graph.set_p_in(prior.p_in());
      graph.set_p_out(prior.p_out());
      break;
    case v1::GRAPH_PRIOR_KIND_RING_OF_CLIQUES:
      graph.set_communities(prior.communities());
      break;
    case v1::GRAPH_PRIOR_KIND_ERDOS_RENYI:
      graph.set_p(prior.p());
      break;
    case v1::GRAPH_PRIOR_KIND_WATTS_STROGATZ:
      graph.set_p(prior.p());
      graph.set_neighbours(prior.neighbours());
      break;
    default:
      break;
  }
  return graph;
}

void CopyWeight(const v1::SignatureRegulariserSpec& from, v1::SignatureRegulariserSpec& to) {
  to.set_weight(from.weight());
  if (from.schedule() == v1::WEIGHT_SCHEDULE_CONSTANT) return;
  to.set_schedule(from.schedule());
  to.set_final_weight(from.final_weight());
}

void CopyRegulariser(const v1::NacSpec& from, v1::NacSpec& to) {
  const v1::SignatureRegulariserSpec& given = from.regulariser();
  v1::SignatureRegulariserSpec& regulariser = *to.mutable_regulariser();
  regulariser.set_kind(given.kind());
  switch (given.kind()) {
    case v1::SIGNATURE_REGULARISER_KIND_HINGE_REPULSION:
      CopyWeight(given, regulariser);
      regulariser.set_hinge(given.hinge());
      return;
    case v1::SIGNATURE_REGULARISER_KIND_GRAPHON:
      CopyWeight(given, regulariser);
      regulariser.set_bernoulli(given.bernoulli());
      regulariser.set_clip(given.clip());
      regulariser.set_match_rows_only(given.match_rows_only());
      regulariser.set_match_every(given.match_every());
      *to.mutable_prior() = Graph(from.prior());
      return;
    default:
      return;
  }
}

// Which blocks of other modules are mixtures is nothing to a module.
v1::StudentSpec WithOwnMixtures(v1::StudentSpec student, int modules, int index) {
  v1::VmoeSpec& vmoe = *student.mutable_vmoe();
  const int64_t begin = storage::FirstBlock(vmoe.backbone(), modules, index);
  const int64_t end = begin + storage::StageDepth(vmoe.backbone(), modules, index);
  auto& blocks = *vmoe.mutable_moe_blocks();
  blocks.erase(std::remove_if(blocks.begin(), blocks.end(),
                              [&](int64_t block) { return block < begin || block >= end; }),
               blocks.end());
  return student;
}

}  // namespace

v1::StudentSpec StudentForPrior(const v1::StudentSpec& student) {
  if (!student.has_nac()) return student;
  const v1::NacSpec& nac = student.nac();
  v1::NacSpec used;
  used.set_signature_dim(nac.signature_dim());
  used.set_mediator_latents(nac.mediator_latents());
  CopyKernel(nac, used);
  v1::GraphPriorSpec& prior = *used.mutable_prior();
  prior = Graph(nac.prior());
  if (prior.kind() == v1::GRAPH_PRIOR_KIND_COMPLETE) return Student(used);
  prior.set_fit_steps(nac.prior().fit_steps());
  prior.set_fit_learning_rate(nac.prior().fit_learning_rate());
  prior.set_fit_threshold(nac.prior().fit_threshold());
  return Student(used);
}

v1::StudentSpec StudentForModule(const v1::StudentSpec& student, int modules, int index) {
  if (student.has_vit()) return student;
  if (student.has_vmoe()) return WithOwnMixtures(student, modules, index);
  const v1::NacSpec& nac = student.nac();
  v1::NacSpec used;
  CopyAttention(nac, used);
  if (index == 0) CopyTokenizer(nac, used);
  used.set_layer_scale(nac.layer_scale());
  if (index == 0 && nac.reference_read_in_scale()) used.set_reference_read_in_scale(true);
  const bool is_mediator = index > 0 && index + 1 < modules;
  if (is_mediator && IsMeanOfMediators(nac)) used.set_share_layers(true);
  // Transferred or not, a learned code is learned alike.
  used.set_codes(nac.codes() == v1::NAC_CODES_TRANSFERRED ? v1::NAC_CODES_LEARNED : nac.codes());
  return Student(used);
}

v1::StudentSpec StudentForAssembly(const v1::StudentSpec& student) {
  if (!student.has_nac()) return student;
  v1::NacSpec used = Shapes(student.nac());
  used.set_layer_scale(student.nac().layer_scale());
  used.set_codes(student.nac().codes());
  if (student.nac().share_layers()) used.set_shared_layer(student.nac().shared_layer());
  if (student.nac().transfer() != v1::NAC_TRANSFER_EVERYTHING) {
    used.set_transfer(student.nac().transfer());
  }
  return Student(used);
}

v1::StudentSpec StudentForTraining(const v1::StudentSpec& student) {
  if (!student.has_nac()) return student;
  v1::NacSpec used = Shapes(student.nac());
  CopyKernel(student.nac(), used);
  CopyNoise(student.nac(), used);
  CopyRegulariser(student.nac(), used);
  return Student(used);
}

v1::StudentSpec StudentForBaseline(const v1::StudentSpec& student) {
  if (!student.has_nac()) return student;
  v1::StudentSpec used = StudentForTraining(student);
  used.mutable_nac()->set_layer_scale(student.nac().layer_scale());
  return used;
}

v1::StudentSpec StudentForFewShot(const v1::StudentSpec& student, v1::FewShotFeatures features) {
  if (!student.has_nac()) return student;
  v1::NacSpec used = Shapes(student.nac());
  CopyKernel(student.nac(), used);
  if (features == v1::FEW_SHOT_FEATURES_LIVE) CopyNoise(student.nac(), used);
  used.set_stochastic_evaluation(student.nac().stochastic_evaluation());
  return Student(used);
}

v1::StudentSpec StudentForEvaluation(const v1::StudentSpec& student) {
  if (!student.has_nac()) return student;
  v1::NacSpec used = Shapes(student.nac());
  CopyKernel(student.nac(), used);
  used.set_stochastic_evaluation(student.nac().stochastic_evaluation());
  return Student(used);
}

}  // namespace distill::server
