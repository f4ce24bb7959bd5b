#include "worker/data/jpeg_decoder.h"

#include <algorithm>
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs it.
#include <cstring>

// clang-format off
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace distill::data {
namespace {

// A progressive image has a handful of scans; each costs a pass over the whole image, so a small
// file with thousands would keep a thread busy for minutes.
constexpr int kMostScans = 100;
// libjpeg's limit on its own memory; what it needs grows with the pixels, which are bounded before.
constexpr long kMostLibraryBytes = 1L << 30;

// Decoding is left by longjmp, so nothing between setjmp and the library's return has a destructor.
struct ErrorManager {
  jpeg_error_mgr base;
  std::jmp_buf leave;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void Leave(j_common_ptr info) {
  auto* manager = reinterpret_cast<ErrorManager*>(info->err);
  info->err->format_message(info, manager->message);
  std::longjmp(manager->leave, 1);
}

// The library warns of damage and goes on with grey; only what does no harm is let pass.
void HandleWarning(j_common_ptr info, int level) {
  if (level >= 0) return;  // Traces.
  switch (info->err->msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_BOGUS_ICC:
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
    case JWRN_TOO_MUCH_DATA:
      return;
    default:
      Leave(info);
  }
}

void IgnoreOutput(j_common_ptr) {}

void CountScans(j_common_ptr info) {
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= kMostScans) return;
  auto* manager = reinterpret_cast<ErrorManager*>(info->err);
  std::snprintf(manager->message, sizeof(manager->message), "it has more than %d scans",
                kMostScans);
  std::longjmp(manager->leave, 1);
}

uint8_t MultiplyBy255th(int a, int b) {
  const int product = a * b + 128;
  return static_cast<uint8_t>(((product >> 8) + product) >> 8);
}

// Inks, stored inverted, to light; as Pillow converts CMYK.
void InksToLight(uint8_t* row, int width) {
  for (int x = 0; x < width; ++x) {
    uint8_t* pixel = row + 4 * x;
    const int white = pixel[3];
    for (int c = 0; c < 3; ++c) {
      const int value = white - MultiplyBy255th(255 - pixel[c], white);
      pixel[c] = static_cast<uint8_t>(std::max(value, 0));
    }
    pixel[3] = 255;
  }
}

}  // namespace

struct JpegDecoder::State {
  jpeg_decompress_struct info;
  ErrorManager errors;
  jpeg_progress_mgr progress;
};

JpegDecoder::JpegDecoder() : state_(std::make_unique<State>()) {
  jpeg_decompress_struct& info = state_->info;
  std::memset(state_.get(), 0, sizeof(State));
  info.err = jpeg_std_error(&state_->errors.base);
  state_->errors.base.error_exit = Leave;
  state_->errors.base.emit_message = HandleWarning;
  state_->errors.base.output_message = IgnoreOutput;
  state_->progress.progress_monitor = CountScans;
}

JpegDecoder::~JpegDecoder() { jpeg_destroy_decompress(&state_->info); }

absl::StatusOr<ImageSize> JpegDecoder::Open(absl::Span<const uint8_t> file) {
  jpeg_decompress_struct& info = state_->info;
  if (setjmp(state_->errors.leave) != 0) return absl::DataLossError(state_->errors.message);
  jpeg_create_decompress(&info);
  info.progress = &state_->progress;
  info.mem->max_memory_to_use = kMostLibraryBytes;
  jpeg_mem_src(&info, file.data(), static_cast<unsigned long>(file.size()));
  jpeg_read_header(&info, TRUE);
  return ImageSize{static_cast<int>(info.image_height), static_cast<int>(info.image_width)};
}

absl::Status JpegDecoder::Decode(const Box& box, int reduction, Bitmap* bitmap, int* offset) {
  jpeg_decompress_struct& info = state_->info;
  const bool is_inks = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  if (!is_inks && info.jpeg_color_space != JCS_GRAYSCALE && info.jpeg_color_space != JCS_YCbCr &&
      info.jpeg_color_space != JCS_RGB) {
    return absl::DataLossError(absl::StrCat("the JPEG has ", info.num_components,
                                            " channels of an unknown kind; convert it to RGB"));
  }
  if (setjmp(state_->errors.leave) != 0) return absl::DataLossError(state_->errors.message);
  info.out_color_space = is_inks ? JCS_CMYK : JCS_EXT_RGBX;
  info.scale_num = 1;
  info.scale_denom = static_cast<unsigned>(reduction);
  jpeg_start_decompress(&info);
  const int output_width = static_cast<int>(info.output_width);
  DISTILL_CHECK(box.left >= 0 && box.left + box.width <= output_width && box.top >= 0 &&
                    box.top + box.height <= static_cast<int>(info.output_height),
                "callers keep boxes inside the image");
  // Interpolated colours look one block to each side, so a block more is decoded there: then the
  // pixels are those of the whole image.
  const int margin = 2 * std::max(info.max_h_samp_factor * info.min_DCT_scaled_size, 8);
  JDIMENSION left = static_cast<JDIMENSION>(std::max(0, box.left - margin));
  JDIMENSION width =
      static_cast<JDIMENSION>(std::min(output_width, box.left + box.width + margin)) - left;
  if (left != 0 || width != info.output_width) jpeg_crop_scanline(&info, &left, &width);
  *offset = box.left - static_cast<int>(left);
  bitmap->Reshape(box.height, static_cast<int>(width));
  if (box.top > 0) jpeg_skip_scanlines(&info, static_cast<JDIMENSION>(box.top));
  for (int y = 0; y < box.height; ++y) {
    JSAMPROW row = bitmap->Row(y);
    if (jpeg_read_scanlines(&info, &row, 1) != 1) return absl::DataLossError("rows are missing");
    if (is_inks) InksToLight(row, bitmap->width());
  }
  return absl::OkStatus();
}

}  // namespace distill::data
