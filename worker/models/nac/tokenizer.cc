// ConvNeXt, channels last.
#include "worker/models/nac/tokenizer.h"

#include <string>

#include "worker/models/feed_forward.h"
#include "worker/models/kernels/cpu_kernels.h"

namespace distill::models {
namespace {

constexpr double kEpsilon = 1e-6;
constexpr int64_t kKernel = 7;
constexpr double kFirstGamma = 1e-6;

// A convolution whose stride is its kernel, on a map [B, N, N, C]: a product with cells as rows,
// [B, N / size, N / size, out]. What does not fill a cell is left out.
torch::Tensor CellConvolution(const torch::Tensor& x, const Convolution& convolution) {
  const int64_t size = convolution->weight.size(2), batch = x.size(0), channels = x.size(3);
  const int64_t side = x.size(1) / size;
  const torch::Tensor cells = x.narrow(1, 0, side * size)
                                  .narrow(2, 0, side * size)
                                  .reshape({batch, side, size, side, size, channels})
                                  .permute({0, 1, 3, 5, 2, 4})
                                  .reshape({batch, side, side, channels * size * size});
  return torch::linear(cells, convolution->weight.flatten(1), convolution->bias);
}

// [C, 1, 7, 7] to [7, 7, C] and back.
torch::Tensor ChannelsLast(const torch::Tensor& weight) {
  return weight.flatten(1).t().contiguous();
}

template <typename Scalar>
torch::Tensor Depthwise(const torch::Tensor& x, const torch::Tensor& weight,
                        const torch::Tensor& bias) {
  torch::Tensor out = torch::empty_like(x);
  kernels::ActiveKernels<Scalar>().depthwise(
      {x.size(0), x.size(1), x.size(3)}, x.data_ptr<Scalar>(), weight.data_ptr<Scalar>(),
      bias.defined() ? bias.data_ptr<Scalar>() : nullptr, out.data_ptr<Scalar>());
  return out;
}

torch::Tensor Depthwise(const torch::Tensor& x, const torch::Tensor& weight,
                        const torch::Tensor& bias) {
  return x.scalar_type() == torch::kFloat ? Depthwise<float>(x, weight, bias)
                                          : Depthwise<double>(x, weight, bias);
}

template <typename Scalar>
void DepthwiseBackwardWeight(const torch::Tensor& x, const torch::Tensor& grad,
                             torch::Tensor* grad_weight) {
  kernels::ActiveKernels<Scalar>().depthwise_backward_weight(
      {x.size(0), x.size(1), x.size(3)}, x.data_ptr<Scalar>(), grad.data_ptr<Scalar>(),
      grad_weight->data_ptr<Scalar>());
}

struct DepthwiseFunction : torch::autograd::Function<DepthwiseFunction> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& weight, const torch::Tensor& bias) {
    context->save_for_backward({x, weight});
    return Depthwise(x, ChannelsLast(weight), bias);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    CheckFirstOrder();
    const auto saved = context->get_saved_variables();
    const torch::Tensor &x = saved[0], &weight = saved[1];
    const torch::Tensor grad = grads[0].contiguous();
    torch::Tensor grad_x, grad_weight, grad_bias;
    // The gradient of the input is a convolution with the kernel turned by half a circle.
    if (context->needs_input_grad(0)) grad_x = Depthwise(grad, ChannelsLast(weight).flip(0), {});
    if (context->needs_input_grad(1)) {
      grad_weight = torch::zeros({kKernel * kKernel, x.size(3)}, x.options());
      if (x.scalar_type() == torch::kFloat) {
        DepthwiseBackwardWeight<float>(x, grad, &grad_weight);
      } else {
        DepthwiseBackwardWeight<double>(x, grad, &grad_weight);
      }
      grad_weight = grad_weight.t().reshape(weight.sizes());
    }
    if (context->needs_input_grad(2)) grad_bias = grad.sum({0, 1, 2});
    return {grad_x, grad_weight, grad_bias};
  }
};

}  // namespace

torch::Tensor DepthwiseConvolutionPlain(const torch::Tensor& x, const torch::Tensor& weight,
                                        const torch::Tensor& bias) {
  return torch::conv2d(x.permute({0, 3, 1, 2}), weight, bias, /*stride=*/1,
                       /*padding=*/kKernel / 2, /*dilation=*/1, /*groups=*/x.size(3))
      .permute({0, 2, 3, 1});
}

torch::Tensor DepthwiseConvolution(const torch::Tensor& x, const torch::Tensor& weight,
                                   const torch::Tensor& bias) {
  if (!KernelsApply(x)) return DepthwiseConvolutionPlain(x, weight, bias);
  const torch::Tensor packed = x.contiguous();
  if (!NeedsGradient({x, weight, bias})) return Depthwise(packed, ChannelsLast(weight), bias);
  return DepthwiseFunction::apply(packed, weight, bias);
}

ConvNextBlockImpl::ConvNextBlockImpl(int64_t width)
    : gamma_(register_parameter("gamma", torch::full({width}, kFirstGamma))),
      dwconv_(nullptr),
      norm_(register_module("norm", LayerNorm(width, kEpsilon))),
      pwconv1_(register_module("pwconv1", Linear(width, 4 * width))),
      pwconv2_(register_module("pwconv2", Linear(4 * width, width))) {
  dwconv_ = register_module("dwconv", Convolution(1, width, kKernel));
}

torch::Tensor ConvNextBlockImpl::forward(const torch::Tensor& x) {
  const torch::Tensor mixed = norm_(DepthwiseConvolution(x, dwconv_->weight, dwconv_->bias));
  const torch::Tensor branch =
      FeedForward(mixed.reshape({-1, mixed.size(-1)}),
                  {pwconv1_->weight, pwconv1_->bias, pwconv2_->weight, pwconv2_->bias});
  return x + (branch * gamma_).view(x.sizes());
}

ImageTokenizerImpl::ImageTokenizerImpl(const NacConfig& config)
    : image_size_(config.image_size), channels_(config.channels), stem_(config.tokenizer_stem) {
  auto backbone = register_module("backbone", std::make_shared<torch::nn::Module>());
  auto layers = backbone->register_module("downsample_layers", torch::nn::ModuleList());
  auto blocks = backbone->register_module("stages", torch::nn::ModuleList());
  for (size_t s = 0; s < config.tokenizer_depths.size(); ++s) {
    const int64_t width = TokenizerWidth(config, s);
    Downsampling stage;
    torch::nn::ModuleList parts;
    if (s == 0) {
      stage.convolution = Convolution(channels_, width, stem_);
      stage.norm = LayerNorm(width, kEpsilon);
      parts->push_back(stage.convolution);
      parts->push_back(stage.norm);
    } else {
      stage.norm = LayerNorm(width / 2, kEpsilon);
      stage.convolution = Convolution(width / 2, width, 2);
      parts->push_back(stage.norm);
      parts->push_back(stage.convolution);
    }
    layers->push_back(parts);
    torch::nn::ModuleList stage_blocks;
    for (int64_t b = 0; b < config.tokenizer_depths[s]; ++b) {
      stage.blocks.emplace_back(width);
      stage_blocks->push_back(stage.blocks.back());
    }
    blocks->push_back(stage_blocks);
    stages_.push_back(std::move(stage));
  }
  if (config.grid_channels > 0) {
    auto positions = register_module("positional_grid", std::make_shared<torch::nn::Module>());
    const int64_t side = TokenSide(config);
    grid_ = positions->register_parameter("grid", torch::zeros({config.grid_channels, side, side}));
  }
}

torch::Tensor ImageTokenizerImpl::forward(const torch::Tensor& pixels) {
  TORCH_CHECK(pixels.dim() == 4 && pixels.size(1) == channels_ && pixels.size(2) == image_size_ &&
                  pixels.size(3) == image_size_,
              "cannot tokenize images: wrong shape; got=", pixels.sizes(), " want=[B, ", channels_,
              ", ", image_size_, ", ", image_size_, "]");
  torch::Tensor x = pixels.permute({0, 2, 3, 1});
  for (size_t s = 0; s < stages_.size(); ++s) {
    Downsampling& stage = stages_[s];
    x = s == 0 ? stage.norm(CellConvolution(x, stage.convolution))
               : CellConvolution(stage.norm(x), stage.convolution);
    for (ConvNextBlock& block : stage.blocks) x = block(x);
  }
  const torch::Tensor features = x.flatten(1, 2);
  if (!grid_.defined()) return features;
  const torch::Tensor positions = grid_.flatten(1).t().unsqueeze(0);
  return torch::cat({features, positions.expand({features.size(0), -1, -1})}, -1);
}

}  // namespace distill::models
