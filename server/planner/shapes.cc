#include "server/planner/shapes.h"

#include <algorithm>
#include <cmath>

namespace distill::server {
namespace {

constexpr int64_t kBytesPerFloat = 4;
constexpr int64_t kProgramBytes = 260LL << 20;  // A trainer with LibTorch loaded, idle.
// Gradient and two moments beside each trained parameter.
constexpr int64_t kFloatsPerTrained = 4;

int64_t Linear(int64_t in, int64_t out, bool bias = true) { return in * out + (bias ? out : 0); }
int64_t LayerNorm(int64_t width) { return 2 * width; }

int64_t HiddenWidth(const v1::VitSpec& vit) {
  return static_cast<int64_t>(std::llround(vit.embed_dim() * vit.mlp_ratio()));
}

int64_t AttentionHalf(const v1::VitSpec& vit) {
  const int64_t width = vit.embed_dim();
  return 2 * LayerNorm(width) + Linear(width, 3 * width, vit.qkv_bias()) + Linear(width, width);
}

int64_t Mlp(const v1::VitSpec& vit) {
  const int64_t width = vit.embed_dim();
  return Linear(width, HiddenWidth(vit)) + Linear(HiddenWidth(vit), width);
}

int64_t Embedding(const v1::VitSpec& vit, const ImageGeometry& geometry) {
  const int64_t width = vit.embed_dim();
  const int64_t patch = int64_t{geometry.patch_size} * geometry.patch_size * geometry.channels;
  return Linear(patch, width) + width + geometry.tokens() * width;
}

int64_t Classifier(const v1::VitSpec& vit, const ImageGeometry& geometry) {
  return LayerNorm(vit.embed_dim()) + Linear(vit.embed_dim(), geometry.classes);
}

// Parameters of each stage of a model whose block b has `block_parameters(b)`.
template <typename BlockParameters>
std::vector<int64_t> StageParameters(const v1::VitSpec& vit, const ImageGeometry& geometry,
                                     BlockParameters block_parameters) {
  std::vector<int64_t> stages;
  int block = 0;
  for (const int depth : vit.stage_depths()) {
    int64_t parameters = 0;
    for (int i = 0; i < depth; ++i) parameters += block_parameters(block++);
    stages.push_back(parameters);
  }
  if (!stages.empty()) {
    stages.front() += Embedding(vit, geometry);
    stages.back() += Classifier(vit, geometry);
  }
  return stages;
}

int64_t Sum(const std::vector<int64_t>& values) {
  int64_t sum = 0;
  for (const int64_t value : values) sum += value;
  return sum;
}

// Floats that one image's backward pass through one block keeps: inputs of both norms, norms, qkv,
// attention weights (twice: before and after softmax), attention output, and the MLP's two hidden
// activations, times the experts that each token visits.
double ActivationFloats(const v1::VitSpec& vit, int64_t tokens, int experts_per_token) {
  const double width = vit.embed_dim();
  const double hidden = static_cast<double>(HiddenWidth(vit));
  const double n = static_cast<double>(tokens);
  return n * (8.0 * width + (2.0 * hidden + width) * experts_per_token) + 2.0 * vit.heads() * n * n;
}

ImageGeometry GeometryOf(const v1::TaskSpec& task) {
  return {task.dataset().image_size(), task.patch_size(), task.dataset().channels(),
          task.dataset().classes()};
}

// What a trainer holds while it works on a task.
struct Footprint {
  int64_t parameters = 0;
  int64_t trained = 0;
  double activation_floats = 0;  // Per image.
};

const v1::VitSpec& BackboneOf(const v1::StudentSpec& student) {
  return student.has_vit() ? student.vit() : student.vmoe().backbone();
}

double WholeActivations(const v1::VitSpec& vit, int blocks, int64_t tokens, int experts_per_token) {
  return blocks * ActivationFloats(vit, tokens, experts_per_token);
}

int64_t At(const std::vector<int64_t>& values, int index) {
  const size_t i = static_cast<size_t>(index);
  return i < values.size() ? values[i] : 0;
}

int DepthAt(const v1::VitSpec& vit, int index) {
  return index < vit.stage_depths_size() ? vit.stage_depths(index) : 0;
}

Footprint OfWholeVit(const v1::VitSpec& vit, const ImageGeometry& geometry) {
  const int64_t total = CountParameters(vit, geometry).total;
  return {total, total, WholeActivations(vit, vit.depth(), geometry.tokens(), 1)};
}

Footprint OfWholeStudent(const v1::TaskSpec& task, const ImageGeometry& geometry) {
  const v1::VitSpec& backbone = BackboneOf(task.student());
  const int top_k = task.student().has_vit() ? 1 : task.student().vmoe().top_k();
  const int64_t total = CountParameters(task.student(), geometry, task.meta().embed_dim()).total;
  return {total, total, WholeActivations(backbone, backbone.depth(), geometry.tokens(), top_k)};
}

Footprint OfHybrid(const v1::TaskSpec& task, const ImageGeometry& geometry, bool student,
                   bool teacher) {
  Footprint footprint = OfWholeVit(task.meta(), geometry);
  footprint.trained = 0;
  const int index = task.module_index();
  if (teacher) {
    const int64_t stage = At(CountParameters(task.teacher(), geometry).modules, index);
    footprint.parameters += stage;
    footprint.activation_floats +=
        WholeActivations(task.teacher(), DepthAt(task.teacher(), index), geometry.tokens(), 1);
    if (!student) footprint.trained = stage;
  }
  if (student) {
    const v1::VitSpec& backbone = BackboneOf(task.student());
    const int top_k = task.student().has_vit() ? 1 : task.student().vmoe().top_k();
    footprint.trained =
        At(CountParameters(task.student(), geometry, task.meta().embed_dim()).modules, index);
    footprint.parameters += footprint.trained;
    footprint.activation_floats +=
        WholeActivations(backbone, DepthAt(backbone, index), geometry.tokens(), top_k);
  }
  return footprint;
}

Footprint FootprintOf(const v1::TaskSpec& task) {
  const ImageGeometry geometry = GeometryOf(task);
  switch (task.kind()) {
    case v1::TASK_KIND_PRETRAIN_META:
      return OfWholeVit(task.meta(), geometry);
    case v1::TASK_KIND_INCUBATE_TEACHER:
      return OfHybrid(task, geometry, /*student=*/false, /*teacher=*/true);
    case v1::TASK_KIND_ASSEMBLE_TEACHER:
    case v1::TASK_KIND_FINETUNE_TEACHER:
    case v1::TASK_KIND_SPLIT_TEACHER:
      return OfWholeVit(task.teacher(), geometry);
    case v1::TASK_KIND_DISTILL_MODULE:
      return OfHybrid(task, geometry, /*student=*/true, /*teacher=*/true);
    case v1::TASK_KIND_ASSEMBLE_STUDENT:
    case v1::TASK_KIND_FINETUNE_STUDENT:
    case v1::TASK_KIND_TRAIN_BASELINE:
      return OfWholeStudent(task, geometry);
    default:
      break;
  }
  switch (task.subject()) {
    case v1::EVALUATION_SUBJECT_META:
      return OfWholeVit(task.meta(), geometry);
    case v1::EVALUATION_SUBJECT_TEACHER:
      return OfWholeVit(task.teacher(), geometry);
    case v1::EVALUATION_SUBJECT_TEACHER_HYBRID:
      return OfHybrid(task, geometry, /*student=*/false, /*teacher=*/true);
    case v1::EVALUATION_SUBJECT_STUDENT_HYBRID:
      return OfHybrid(task, geometry, /*student=*/true, /*teacher=*/false);
    default:
      return OfWholeStudent(task, geometry);
  }
}

}  // namespace

ParameterCounts CountParameters(const v1::VitSpec& vit, const ImageGeometry& geometry) {
  const int64_t block = AttentionHalf(vit) + Mlp(vit);
  ParameterCounts counts;
  counts.modules = StageParameters(vit, geometry, [&](int) { return block; });
  counts.total = Sum(counts.modules);
  return counts;
}

ParameterCounts CountParameters(const v1::VmoeSpec& vmoe, const ImageGeometry& geometry,
                                int meta_width) {
  const v1::VitSpec& backbone = vmoe.backbone();
  const int64_t width = backbone.embed_dim();
  const int64_t plain = AttentionHalf(backbone) + Mlp(backbone);
  const int64_t mixture =
      AttentionHalf(backbone) + Linear(width, vmoe.experts()) + vmoe.experts() * Mlp(backbone);
  const auto block_parameters = [&](int block) {
    const auto& moe_blocks = vmoe.moe_blocks();
    const bool is_mixture =
        std::find(moe_blocks.begin(), moe_blocks.end(), block) != moe_blocks.end();
    return is_mixture ? mixture : plain;
  };
  ParameterCounts counts;
  counts.modules = StageParameters(backbone, geometry, block_parameters);
  counts.total = Sum(counts.modules);
  const int64_t pre_stitch = LayerNorm(meta_width) + Linear(meta_width, width);
  const int64_t post_stitch = LayerNorm(width) + Linear(width, meta_width);
  for (size_t i = 0; i < counts.modules.size(); ++i) {
    const bool first = i == 0;
    const bool last = i + 1 == counts.modules.size();
    const int64_t stitches = (first ? 0 : pre_stitch) + (last ? 0 : post_stitch);
    counts.modules[i] += stitches;
    if (vmoe.keep_stitches()) counts.total += stitches;
  }
  return counts;
}

ParameterCounts CountParameters(const v1::StudentSpec& student, const ImageGeometry& geometry,
                                int meta_width) {
  if (student.has_vit()) return CountParameters(student.vit(), geometry);
  return CountParameters(student.vmoe(), geometry, meta_width);
}

int64_t PredictMemoryBytes(const v1::TaskSpec& task) {
  const Footprint footprint = FootprintOf(task);
  const bool trains = task.has_recipe();
  const bool evaluates = task.kind() == v1::TASK_KIND_EVALUATE;
  int64_t batch = 0;
  if (trains) batch = task.recipe().batch_size();
  if (evaluates) batch = task.evaluation().batch_size();
  // Without a backward pass only about one block's activations are alive at a time.
  const double alive = trains ? 1.0 : 0.25;
  const double activations = footprint.activation_floats * static_cast<double>(batch) * alive;
  const int64_t floats =
      footprint.parameters + (trains ? kFloatsPerTrained * footprint.trained : 0);
  const v1::DatasetSpec& dataset = task.dataset();
  const int64_t image_bytes =
      int64_t{dataset.image_size()} * dataset.image_size() * dataset.channels();
  const int64_t data = (trains || evaluates) ? image_bytes * dataset.train_size() : 0;
  return kProgramBytes + floats * kBytesPerFloat + data +
         static_cast<int64_t>(activations) * kBytesPerFloat;
}

}  // namespace distill::server
