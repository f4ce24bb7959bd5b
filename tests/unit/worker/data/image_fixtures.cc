#include "tests/unit/worker/data/image_fixtures.h"

#include <png.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

// clang-format off
#include <jpeglib.h>
// clang-format on

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/file.h"

namespace distill::data {

Bitmap MakePicture(int height, int width, int seed) {
  Bitmap picture;
  picture.Reshape(height, width);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      uint8_t* pixel = picture.Row(y) + kBitmapBytesPerPixel * x;
      const double wave = std::sin(0.21 * x + 0.13 * y + seed);
      const bool is_edge = (x / 9 + y / 7 + seed) % 5 == 0;
      pixel[0] = static_cast<uint8_t>(127 + 100 * wave);
      pixel[1] = static_cast<uint8_t>((x * 3 + y * 5 + 17 * seed) % 256);
      pixel[2] = is_edge ? 230 : static_cast<uint8_t>(60 + 50 * std::cos(0.3 * x - seed));
      pixel[3] = 255;
    }
  }
  return picture;
}

std::string JpegBytes(const Bitmap& picture, const JpegOptions& options) {
  jpeg_compress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = static_cast<JDIMENSION>(picture.width());
  info.image_height = static_cast<JDIMENSION>(picture.height());
  info.input_components = 4;
  info.in_color_space = JCS_EXT_RGBX;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, options.quality, TRUE);
  info.comp_info[0].h_samp_factor = options.horizontal_sampling;
  info.comp_info[0].v_samp_factor = options.vertical_sampling;
  if (options.is_progressive) jpeg_simple_progression(&info);
  jpeg_start_compress(&info, TRUE);
  for (int y = 0; y < picture.height(); ++y) {
    JSAMPROW row = const_cast<JSAMPROW>(picture.Row(y));
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  std::string file(reinterpret_cast<char*>(bytes), size);
  jpeg_destroy_compress(&info);
  std::free(bytes);
  return file;
}

std::string PngBytes(const Bitmap& picture) {
  png_image image;
  std::memset(&image, 0, sizeof(image));
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(picture.width());
  image.height = static_cast<png_uint_32>(picture.height());
  image.format = PNG_FORMAT_RGBA;
  png_alloc_size_t size = 0;
  DISTILL_CHECK(
      png_image_write_to_memory(&image, nullptr, &size, 0, picture.data(), 0, nullptr) != 0,
      "a picture can be written");
  std::string file(size, '\0');
  DISTILL_CHECK(
      png_image_write_to_memory(&image, file.data(), &size, 0, picture.data(), 0, nullptr) != 0,
      "a picture can be written");
  file.resize(size);
  return file;
}

StoredImage Encoded(absl::string_view bytes) {
  StoredImage image;
  image.form = StoredImage::Form::kEncoded;
  image.bytes.assign(bytes.begin(), bytes.end());
  return image;
}

std::string TarEntryBytes(absl::string_view name, absl::string_view content, char type) {
  std::string header(512, '\0');
  const auto put = [&header](size_t offset, absl::string_view text) {
    header.replace(offset, text.size(), text.data(), text.size());
  };
  put(0, name.substr(0, 100));
  put(100, "0000644");
  put(124, absl::StrFormat("%011o", content.size()));
  header[156] = type;
  put(257, absl::string_view("ustar\00000", 8));
  put(148, "        ");
  unsigned sum = 0;
  for (const char byte : header) sum += static_cast<uint8_t>(byte);
  put(148, absl::StrFormat("%06o", sum));
  header[154] = '\0';
  std::string padded(content);
  padded.resize((content.size() + 511) / 512 * 512, '\0');
  return header + padded;
}

std::string TarBytes(const std::vector<std::pair<std::string, std::string>>& files) {
  std::string bytes;
  for (const auto& [name, content] : files) bytes += TarEntryBytes(name, content);
  return bytes + std::string(1024, '\0');
}

void WriteFileAt(const std::string& path, absl::string_view bytes) {
  DISTILL_CHECK(CreateDirectories(path.substr(0, path.rfind('/'))).ok(), "tests can write");
  DISTILL_CHECK(WriteFileAtomically(path, bytes).ok(), "tests can write");
}

}  // namespace distill::data
