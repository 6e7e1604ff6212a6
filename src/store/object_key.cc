#include <cassert>

#include "store/store.h"

namespace holdfast {
namespace {

bool is_valid_key(std::string_view text) {
    if (text.empty() || text.size() > 512 || text.back() == '/') return false;
    bool segment_begins = true;
    for (char c : text) {
        auto letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '.' && c != '_' && c != '-' && c != '/') return false;
        if (segment_begins && (c == '/' || c == '.')) return false;
        segment_begins = c == '/';
    }
    return true;
}

}  // namespace

ObjectKey::ObjectKey(std::string text) : text_(std::move(text)) { assert(is_valid_key(text_)); }

}  // namespace holdfast
