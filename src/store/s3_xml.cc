#include "store/s3_xml.h"

#include <charconv>

#include "base/bytes.h"

namespace holdfast {
namespace {

constexpr int kLevelsMax = 16;

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

std::string utf8(std::uint32_t point) {
    std::string text;
    if (point < 0x80) {
        text += static_cast<char>(point);
    } else if (point < 0x800) {
        text += static_cast<char>(0xc0 | point >> 6);
        text += static_cast<char>(0x80 | (point & 0x3f));
    } else if (point < 0x10000) {
        text += static_cast<char>(0xe0 | point >> 12);
        text += static_cast<char>(0x80 | (point >> 6 & 0x3f));
        text += static_cast<char>(0x80 | (point & 0x3f));
    } else {
        text += static_cast<char>(0xf0 | point >> 18);
        text += static_cast<char>(0x80 | (point >> 12 & 0x3f));
        text += static_cast<char>(0x80 | (point >> 6 & 0x3f));
        text += static_cast<char>(0x80 | (point & 0x3f));
    }
    return text;
}

class Reader {
  public:
    explicit Reader(std::string_view text) : rest_(text) {}

    Result<XmlElement> document() {
        TRY(skip_between());
        auto root = TRY(element(1));
        TRY(skip_between());
        if (!rest_.empty())
            return bad();
        return root;
    }

  private:
    static std::unexpected<Error> bad() {
        return fail(ErrorKind::damaged, "the XML is not well-formed, or ends early");
    }
    bool take(std::string_view text) {
        if (!rest_.starts_with(text))
            return false;
        rest_.remove_prefix(text.size());
        return true;
    }
    Result<void> skip_to(std::string_view end) {
        auto at = rest_.find(end);
        if (at == std::string_view::npos)
            return bad();
        rest_.remove_prefix(at + end.size());
        return {};
    }
    // Blanks, comments, processing instructions.
    Result<void> skip_between() {
        for (;;) {
            while (!rest_.empty() && is_blank(rest_.front()))
                rest_.remove_prefix(1);
            if (take("<?")) {
                TRY(skip_to("?>"));
            } else if (take("<!--")) {
                TRY(skip_to("-->"));
            } else {
                return {};
            }
        }
    }
    // A name without its namespace's prefix.
    Result<std::string> name() {
        auto end = rest_.find_first_of(" \t\r\n/>=<&\"'");
        if (end == std::string_view::npos || end == 0)
            return bad();
        auto found = rest_.substr(0, end);
        rest_.remove_prefix(end);
        if (auto colon = found.rfind(':'); colon != std::string_view::npos)
            found.remove_prefix(colon + 1);
        return std::string(found);
    }
    // Up to and with the ">" of a start tag; true when it was "/>".
    Result<bool> attributes() {
        for (;;) {
            while (!rest_.empty() && is_blank(rest_.front()))
                rest_.remove_prefix(1);
            if (take("/>"))
                return true;
            if (take(">"))
                return false;
            TRY(name());
            if (!take("="))
                return bad();
            bool single = take("'");
            if (!single && !take("\""))
                return bad();
            TRY(skip_to(single ? "'" : "\""));
        }
    }
    Result<std::string> reference() {
        auto end = rest_.find(';');
        if (end == std::string_view::npos || end > 10)
            return bad();
        auto word = rest_.substr(0, end);
        rest_.remove_prefix(end + 1);
        if (word == "amp")
            return std::string("&");
        if (word == "lt")
            return std::string("<");
        if (word == "gt")
            return std::string(">");
        if (word == "quot")
            return std::string("\"");
        if (word == "apos")
            return std::string("'");
        if (!word.starts_with('#'))
            return bad();
        word.remove_prefix(1);
        int base = 10;
        if (word.starts_with('x')) {
            word.remove_prefix(1);
            base = 16;
        }
        std::uint32_t point = 0;
        auto [at, error] = std::from_chars(word.data(), word.data() + word.size(), point, base);
        bool surrogate = point >= 0xd800 && point < 0xe000;
        if (error != std::errc() || at != word.data() + word.size() || point == 0 ||
            point > 0x10ffff || surrogate)
            return bad();
        return utf8(point);
    }
    Result<XmlElement> element(int level) {
        if (level > kLevelsMax || !take("<"))
            return bad();
        XmlElement element;
        element.name = TRY(name());
        bool const empty = TRY(attributes());
        if (empty)
            return element;
        for (;;) {
            auto end = rest_.find_first_of("<&");
            if (end == std::string_view::npos)
                return bad();
            element.text += rest_.substr(0, end);
            rest_.remove_prefix(end);
            if (take("&")) {
                auto resolved = TRY(reference());
                element.text += resolved;
            } else if (take("</")) {
                auto closed = TRY(name());
                while (!rest_.empty() && is_blank(rest_.front()))
                    rest_.remove_prefix(1);
                if (closed != element.name || !take(">"))
                    return bad();
                return element;
            } else if (take("<!--")) {
                TRY(skip_to("-->"));
            } else if (take("<![CDATA[")) {
                auto close = rest_.find("]]>");
                if (close == std::string_view::npos)
                    return bad();
                element.text += rest_.substr(0, close);
                rest_.remove_prefix(close + 3);
            } else {
                auto child = TRY(this->element(level + 1));
                element.children.push_back(std::move(child));
            }
        }
    }

    std::string_view rest_;
};

}  // namespace

XmlElement const* XmlElement::find(std::string_view child) const {
    for (auto const& one : children) {
        if (one.name == child)
            return &one;
    }
    return nullptr;
}

std::string_view XmlElement::text_of(std::string_view child) const {
    auto const* found = find(child);
    return found ? std::string_view(found->text) : std::string_view();
}

Result<XmlElement> parse_xml(std::string_view text) {
    return Reader(text).document();
}

std::string escape_xml(std::string_view text) {
    std::string result;
    for (char c : text) {
        switch (c) {
            case '&':
                result += "&amp;";
                break;
            case '<':
                result += "&lt;";
                break;
            case '>':
                result += "&gt;";
                break;
            default:
                result += c;
        }
    }
    return result;
}

}  // namespace holdfast
