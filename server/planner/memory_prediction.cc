#include "server/planner/memory_prediction.h"

#include <algorithm>
#include <cmath>

#include "server/planner/shapes.h"
#include "storage/weights/stage_depths.h"

namespace distill::server {
namespace {

constexpr double kBytesPerFloat = 4.0;
// A trainer with LibTorch loaded, idle, and what the matrix library keeps for itself once it
// computes.
constexpr double kProgramBytes = 162.0 * (1 << 20);
constexpr double kMatrixLibraryBytes = 8.0 * (1 << 20);
// Gradient and two moments.
constexpr double kFloatsPerTrained = 3.0;
// Without a backward pass only about one layer's activations of a NAC are alive at a time.
constexpr double kAliveInEvaluation = 0.15;
// Of all tokens, how many times their width a pass of a transformer takes for a moment: back, and
// forward alone. These and the widths of BlockFloats are fitted to tests/system/memory_prediction.
constexpr double kWidthsOfBackward = 6.5;
constexpr double kWidthsOfForward = 8.0;
// Assembling and splitting hold a network and the file that they write.
constexpr double kCopiesOfAssembled = 2.0;
// Batches that stand ready, are in the making, and are being mixed.
constexpr double kLoadedBatches = 6.0;
// Of an image that stays in its file.
constexpr double kBytesPerName = 100.0;
// The fit of a prior holds its graph, the affinities and their picture.
constexpr double kFloatsPerPair = 2.0;

// What a trainer holds while it works on a task.
struct Footprint {
  double parameters = 0.0;
  double trained = 0.0;            // Of them.
  double activation_floats = 0.0;  // Of one image, kept for the backward pass.
  double nac_floats = 0.0;         // Of them, those of a NAC or a module of one.
  double token_floats = 0.0;       // Of one image, in all its tokens.
  // Of one image, not kept: the largest that a layer holds for a moment.
  double transient_floats = 0.0;
};

ImageGeometry GeometryOf(const v1::TaskSpec& task) {
  return {task.dataset().input_size(), task.patch_size(), task.dataset().channels(),
          task.dataset().classes()};
}

double TokenFloats(const v1::VitSpec& vit, int64_t tokens) {
  return static_cast<double>(tokens) * vit.embed_dim();
}

// The experts that a token visits, and whether the last mixture has to look at all tokens.
struct Mixture {
  int experts_per_token = 0;  // 0: an MLP instead.
  bool routes_together = false;
};

Mixture MixtureOf(const v1::StudentSpec& student) {
  if (!student.has_vmoe()) return {};
  const v1::RouterKind router = student.vmoe().router().kind();
  return {student.vmoe().top_k(),
          router != v1::ROUTER_KIND_UNSPECIFIED && router != v1::ROUTER_KIND_TOP_K};
}

// One transformer block: inputs of both norms, norms, qkv, attention weights and output; the MLP's
// two hidden activations, times the experts that each token visits, whose inputs and outputs are
// copies.
double BlockFloats(const v1::VitSpec& vit, int64_t tokens, const Mixture& mixture) {
  const double width = vit.embed_dim();
  const double visits = mixture.experts_per_token;
  const double n = static_cast<double>(tokens);
  return n * width * (10.5 + 2.0 * vit.mlp_ratio() * std::max(1.0, visits) + 2.0 * visits) +
         vit.heads() * n * n;
}

// The last block before a classifier computes one token, from keys and values of all.
double StackFloats(const v1::VitSpec& vit, int64_t blocks, int64_t tokens, const Mixture& mixture,
                   bool is_last) {
  if (blocks == 0) return 0.0;
  const double count = static_cast<double>(blocks);
  if (!is_last || mixture.routes_together) return count * BlockFloats(vit, tokens, mixture);
  return (count - 1.0) * BlockFloats(vit, tokens, mixture) + 5.0 * TokenFloats(vit, tokens);
}

Footprint OfWholeVit(const v1::VitSpec& vit, const ImageGeometry& geometry) {
  const double total = static_cast<double>(CountParameters(vit, geometry));
  return {total,
          total,
          StackFloats(vit, vit.depth(), geometry.tokens(), {}, /*is_last=*/true),
          0.0,
          TokenFloats(vit, geometry.tokens()),
          0.0};
}

// Activations of the parts of a NAC. C state width, U receivers, V senders.
class NacActivations {
 public:
  NacActivations(const v1::NacSpec& nac, const ImageGeometry& geometry)
      : nac_(nac), geometry_(geometry) {}

  double Tokens() const {
    const double side = geometry_.image_size / Reduction();
    return side * side;
  }

  double Tokenizer() const {
    double floats = 0.0;
    double side = static_cast<double>(geometry_.image_size) / nac_.tokenizer_stem();
    for (int s = 0; s < nac_.tokenizer_depths_size(); ++s) {
      const double width = nac_.state_dim() >> (nac_.tokenizer_depths_size() - s);
      // Convolution, its channels-last copy, norm, two hidden activations, output, scaled output.
      floats += side * side * width * (3.0 + 14.0 * nac_.tokenizer_depths(s));
      side /= 2.0;
    }
    return floats + Tokens() * TokenWidth();
  }

  // Every latent has queries, scores and mixed tokens of its own, per head.
  double ReadIn(double latents) const {
    const double per_head = 2.0 * TokenWidth() + 2.0 * Tokens();
    return Tokens() * TokenWidth() +
           latents * (nac_.heads() * per_head + 4.0 * Inner() + 3.0 * C()) + FeedForward(latents);
  }

  double Attention(double receivers, double senders) const {
    return receivers * (4.0 * C() + 3.0 * Inner()) + senders * (4.0 * C() + 2.0 * Inner()) +
           2.0 * nac_.heads() * receivers * senders + FeedForward(receivers);
  }

  // Links drawn for every image.
  double Links(double receivers, double senders) const { return 3.0 * receivers * senders; }

  double Whole(int modules) const {
    const double inputs = nac_.input_latents();
    const double mediators = nac_.mediator_latents();
    const double outputs = nac_.output_latents();
    return Tokenizer() + ReadIn(inputs) +
           (modules - 2) *
               (Attention(mediators, inputs + mediators) + Links(mediators, inputs + mediators)) +
           Attention(outputs, inputs + mediators);
  }

 private:
  double Reduction() const {
    return static_cast<double>(nac_.tokenizer_stem() << (nac_.tokenizer_depths_size() - 1));
  }
  double C() const { return nac_.state_dim(); }
  double Inner() const { return static_cast<double>(nac_.heads()) * nac_.head_dim(); }
  double TokenWidth() const { return C() / 2.0 + nac_.grid_channels(); }
  double FeedForward(double receivers) const {
    return receivers * (5.0 * C() + 5.0 * nac_.ffn_capacity_factor() * C());
  }

  const v1::NacSpec& nac_;
  const ImageGeometry& geometry_;
};

const v1::VitSpec& BackboneOf(const v1::StudentSpec& student) {
  return student.has_vit() ? student.vit() : student.vmoe().backbone();
}

double StudentFloats(const v1::TaskSpec& task, const ImageGeometry& geometry) {
  if (task.student().has_nac()) {
    return NacActivations(task.student().nac(), geometry).Whole(task.modules());
  }
  const v1::VitSpec& backbone = BackboneOf(task.student());
  return StackFloats(backbone, backbone.depth(), geometry.tokens(), MixtureOf(task.student()),
                     /*is_last=*/true);
}

double ModuleFloats(const v1::TaskSpec& task, const ImageGeometry& geometry) {
  const int index = task.module_index();
  if (task.student().has_nac()) {
    const NacActivations nac(task.student().nac(), geometry);
    const double tokens = static_cast<double>(geometry.tokens());
    if (index == 0) return nac.Tokenizer() + nac.ReadIn(1.0);
    if (index + 1 == task.modules()) return nac.Attention(1.0, tokens);
    return nac.Attention(tokens, tokens);
  }
  const v1::VitSpec& backbone = BackboneOf(task.student());
  return StackFloats(backbone, storage::StageDepth(backbone, task.modules(), index),
                     geometry.tokens(), MixtureOf(task.student()), index + 1 == task.modules());
}

Footprint OfWholeStudent(const v1::TaskSpec& task, const ImageGeometry& geometry) {
  const double total = static_cast<double>(
      CountParameters(task.student(), task.modules(), geometry, task.meta().embed_dim()));
  const double floats = StudentFloats(task, geometry);
  if (task.student().has_nac()) return {total, total, floats, floats, 0.0, 0.0};
  return {total, total, floats, 0.0, TokenFloats(BackboneOf(task.student()), geometry.tokens()),
          0.0};
}

// A module within the meta model. Only what comes after it is kept for the backward pass.
Footprint OfHybrid(const v1::TaskSpec& task, const ImageGeometry& geometry, bool student,
                   bool teacher) {
  Footprint footprint = OfWholeVit(task.meta(), geometry);
  footprint.trained = 0.0;
  const int index = task.module_index();
  const v1::VitSpec& meta = task.meta();
  const int64_t after = storage::FirstBlock(meta, task.modules(), index + 1);
  footprint.activation_floats = StackFloats(meta, meta.depth() - after, geometry.tokens(), {},
                                            /*is_last=*/true);
  if (teacher) {
    const double stage =
        static_cast<double>(CountModuleParameters(task.teacher(), task.modules(), index, geometry));
    footprint.parameters += stage;
    const double floats =
        StackFloats(task.teacher(), storage::StageDepth(task.teacher(), task.modules(), index),
                    geometry.tokens(), {}, index + 1 == task.modules());
    if (student) {
      footprint.transient_floats =
          kWidthsOfForward * TokenFloats(task.teacher(), geometry.tokens());
    } else {
      footprint.activation_floats += floats;
      footprint.trained = stage;
    }
  }
  if (student) {
    footprint.trained = static_cast<double>(CountModuleParameters(
        task.student(), task.modules(), index, geometry, task.meta().embed_dim()));
    footprint.parameters += footprint.trained;
    const double floats = ModuleFloats(task, geometry);
    footprint.activation_floats += floats;
    if (task.student().has_nac()) footprint.nac_floats = floats;
  }
  return footprint;
}

Footprint OfEvaluation(const v1::TaskSpec& task, const ImageGeometry& geometry) {
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

// Dense matrices over all pairs of mediators, and the fit's own parameters.
Footprint OfPrior(const v1::TaskSpec& task) {
  const v1::NacSpec& nac = task.student().nac();
  const double mediators = nac.mediator_latents();
  Footprint footprint;
  footprint.parameters = mediators * nac.signature_dim();
  footprint.trained = footprint.parameters;
  footprint.transient_floats = kFloatsPerPair * mediators * mediators;
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
    case v1::TASK_KIND_EVALUATE:
      return OfEvaluation(task, geometry);
    case v1::TASK_KIND_FIT_PRIOR:
      return OfPrior(task);
    case v1::TASK_KIND_SELECT_MODULE:
      return {};
    default:
      break;
  }
  Footprint footprint = OfWholeStudent(task, geometry);
  if (task.has_teacher()) {  // Distillation from the whole teacher.
    footprint.parameters += static_cast<double>(CountParameters(task.teacher(), geometry));
    footprint.transient_floats = kWidthsOfForward * TokenFloats(task.teacher(), geometry.tokens());
  }
  return footprint;
}

double ImageElements(double side, const v1::DatasetSpec& dataset) {
  return side * side * dataset.channels();
}

// Formats of one fixed size are held in memory, a byte for each value; of others the names are.
// Test images are left out: a task does not say how many there are. A prior is fitted before
// anything is trained; whatever merges modules runs in the trainer that has trained, which keeps
// the images for what follows.
double HeldImageBytes(const v1::TaskSpec& task) {
  if (task.kind() == v1::TASK_KIND_FIT_PRIOR) return 0.0;
  const v1::DatasetSpec& dataset = task.dataset();
  const bool is_in_memory = dataset.format() <= v1::DATASET_FORMAT_CIFAR100;
  return static_cast<double>(dataset.train_size()) *
         (is_in_memory ? ImageElements(dataset.image_size(), dataset) : kBytesPerName);
}

}  // namespace

int64_t PredictMemoryBytes(const v1::TaskSpec& task) {
  const Footprint footprint = FootprintOf(task);
  // Features that are kept are computed image by image, and the classifier over them is small.
  const bool keeps_features = task.few_shot().features() == v1::FEW_SHOT_FEATURES_CACHED;
  const bool trains = task.has_recipe() && !keeps_features;
  const bool evaluates = task.kind() == v1::TASK_KIND_EVALUATE || keeps_features;
  double batch = 1.0;
  // Of a gang, each trainer computes an equal share.
  const int ranks = std::max(1, task.recipe().gang_size());
  if (trains) batch = static_cast<double>(task.recipe().batch_size()) / ranks;
  if (task.kind() == v1::TASK_KIND_EVALUATE) batch = task.evaluation().batch_size();
  // A transformer's evaluation holds what one block computes, a NAC's a share of all.
  double passing = 0.0;
  if (trains) passing = footprint.activation_floats + kWidthsOfBackward * footprint.token_floats;
  if (evaluates) {
    passing = kWidthsOfForward * footprint.token_floats + kAliveInEvaluation * footprint.nac_floats;
  }
  const double copies = trains || evaluates ? 1.0 : kCopiesOfAssembled;
  const double floats = copies * footprint.parameters +
                        (trains ? kFloatsPerTrained * footprint.trained : 0.0) +
                        (ranks > 1 ? footprint.trained : 0.0) +  // Buckets of gradients.
                        batch * (passing + footprint.transient_floats);
  double bytes = kProgramBytes + kBytesPerFloat * floats + HeldImageBytes(task);
  if (trains || evaluates) {
    bytes += kMatrixLibraryBytes + kBytesPerFloat * kLoadedBatches * batch *
                                       ImageElements(task.dataset().input_size(), task.dataset());
  }
  return static_cast<int64_t>(bytes);
}

}  // namespace distill::server
