#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace holdfast {

// An element of the XML that S3 servers answer with. Attributes and namespaces are dropped.
struct XmlElement {
    std::string name;
    std::string text;  // with references resolved, around children, too
    std::vector<XmlElement> children;

    // The first child of that name; nullptr when there is none.
    XmlElement const* find(std::string_view child) const;
    // Its text; empty when there is none.
    std::string_view text_of(std::string_view child) const;
};

// Reads the subset of XML 1.0 that S3 writes: no document types, no entities but the five of XML
// and numeric ones, at most 16 levels. `damaged` on anything else, also on a document that ends
// early or has something after its root.
Result<XmlElement> parse_xml(std::string_view text);

// "&", "<" and ">" escaped.
std::string escape_xml(std::string_view text);

}  // namespace holdfast
