#include "repo/qr_svg.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <memory>
#include <qrencode.h>

namespace holdfast {
namespace {

constexpr int kQuietZone = 4;  // the standard's

struct FreeCode {
    void operator()(QRcode* code) const {
        // It spells what may be a secret.
        std::memset(code->data, 0, static_cast<std::size_t>(code->width) * static_cast<std::size_t>(code->width));
        QRcode_free(code);
    }
};

}  // namespace

Result<std::string> qr_svg(std::string_view text) {
    std::unique_ptr<QRcode, FreeCode> code(QRcode_encodeData(
        static_cast<int>(text.size()), reinterpret_cast<unsigned char const*>(text.data()), 0, QR_ECLEVEL_M));
    if (!code && errno == ERANGE) return fail(ErrorKind::usage, "the text is too long for a QR code");
    if (!code) return fail(errno_error("make a QR code", errno));
    auto side = code->width + 2 * kQuietZone;
    constexpr std::size_t kModuleBytesMax = sizeof "M123 123h1v1h-1z";
    auto svg = fmt::format(
        R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {0}" shape-rendering="crispEdges">)"
        R"(<rect width="{0}" height="{0}" fill="#fff"/><path d=")",
        side);
    // At once: a growing string would leave a secret behind in freed memory.
    svg.reserve(svg.size() + static_cast<std::size_t>(code->width * code->width) * kModuleBytesMax + 64);
    for (int y = 0; y < code->width; ++y) {
        for (int x = 0; x < code->width; ++x) {
            if ((code->data[y * code->width + x] & 1) == 0) continue;
            svg += fmt::format("M{} {}h1v1h-1z", x + kQuietZone, y + kQuietZone);
        }
    }
    return svg + R"(" fill="#000"/></svg>)";
}

}  // namespace holdfast
