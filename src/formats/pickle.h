#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"

namespace holdfast {

// Python pickles (protocols 0 to 5, as Lib/pickletools.py specifies the opcodes), interpreted symbolically: every
// opcode does to a stack of descriptions what Python would do to objects. Nothing is called, imported or made.
//
// What may be named is an allow-list, that of PyTorch's weights-only unpickler (torch/_weights_only_unpickler.py).
// Opcodes that call what was named in other ways (INST, OBJ, the extension registry) count as names, too.

// Index of a node in Pickle::nodes.
using PickleIndex = std::uint32_t;

struct PickleNode {
    enum class Kind : std::uint8_t {
        none,
        boolean,
        integer,   // one that fits into 64 bits
        number,    // other numbers; not kept
        text,      // text or bytes
        tuple,     // items
        list,      // items; also sets
        dict,      // items: key, value, key, value …
        global,    // text: "module.name"
        object,    // what a global made of arguments: items[0] is the global, items[1] the arguments, then its state
        persistent,  // items[0]: the id, for PyTorch a tuple that names a storage
    };
    Kind kind = Kind::none;
    std::int64_t integer = 0;
    std::string text;
    std::vector<PickleIndex> items;
};

struct Pickle {
    std::vector<PickleNode> nodes;
    PickleIndex root = 0;
    std::size_t bytes = 0;              // that it took
    std::vector<std::string> refused;   // globals that are not on the list, each once, in order; at most 100
    // Empty when it was read up to its STOP. A pickle that breaks has named what it named: `refused` holds.
    std::string fault;

    PickleNode const& operator[](PickleIndex index) const { return nodes[index]; }
    bool whole() const { return fault.empty(); }
};

// Which names are allowed besides the list.
enum class PickleNames { weights, torchscript };  // torchscript: the archive's own classes, "__torch__.…"

// Interprets one pickle at the front of `bytes`. Never fails: see Pickle::fault. Memory is in proportion to
// the bytes.
Pickle read_pickle(ByteView bytes, PickleNames names = PickleNames::weights);

// Whether bytes look like the beginning of a pickle of protocol 2 or later.
bool looks_like_pickle(ByteView first);

}  // namespace holdfast
