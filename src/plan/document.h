#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "plan/fault_sink.h"
#include "plan/value.h"

namespace holdfast::plan {

// A YAML document as a tree with positions: no anchors, no aliases, no tags, no merge keys, no
// duplicate keys, bounded in size and depth.
struct Node {
    struct Member;
    enum class Kind { null, scalar, list, map };

    Kind kind = Kind::null;
    Position at{};       // its first character
    std::string text{};  // of a scalar
    bool plain = false;  // a scalar without quotes: may mean a number or a boolean
    std::vector<Node> items{};
    std::vector<Member> members{};

    Member const* find(std::string_view key) const;
};

struct Node::Member {
    std::string name;
    Position at;  // of the name
    Node value;
};

inline constexpr std::size_t kDocumentBytesMax = 1 << 20;
inline constexpr std::size_t kDocumentDepthMax = 32;
inline constexpr std::size_t kDocumentNodesMax = 20'000;

// Reads exactly one document. What is wrong goes to `faults`; the tree then holds what could be
// read, and is null when the text is not YAML at all.
Node read_document(std::string_view text, FaultSink& faults);

// What a scalar means in YAML 1.2: null, true, 12, 1.5 or a text. A number with a leading zero
// stays a text: see is_octal_trap().
Value meaning(Node const& scalar);
// Whether some read the scalar as an octal number and others as a decimal one: 010.
bool is_octal_trap(Node const& scalar);
// The meaning of a whole tree.
Value to_value(Node const& node);

}  // namespace holdfast::plan
