#include "store/store.h"

#include <cassert>

namespace holdfast {
namespace {

constexpr std::size_t kKeyCharactersMax = 512;
constexpr std::size_t kSegmentCharactersMax = 255;  // what file systems take

bool is_key_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

}  // namespace

bool is_object_key(std::string_view text) {
    if (text.empty() || text.size() > kKeyCharactersMax)
        return false;
    std::size_t in_segment = 0;
    for (char c : text) {
        if (c == '/') {
            if (in_segment == 0)
                return false;
            in_segment = 0;
            continue;
        }
        if (!is_key_character(c) || (c == '.' && in_segment == 0))
            return false;
        if (++in_segment > kSegmentCharactersMax)
            return false;
    }
    return in_segment > 0;
}

ObjectKey::ObjectKey(std::string text) : text_(std::move(text)) {
    assert(is_object_key(text_));
}

}  // namespace holdfast
