#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "repo/ids.h"

namespace holdfast {

// A flat JSON object (RFC 8259) whose members keep their order: what small documents are. Members are
// written in a fixed order and spelling, so that a document that is parsed and written again is the
// same text. The JSON library stays in json_object.cc.
class JsonObject {
  public:
    JsonObject();
    JsonObject(JsonObject&&) noexcept;
    JsonObject& operator=(JsonObject&&) noexcept;
    ~JsonObject();

    // `damaged` on text that is no JSON object, or is longer than 16 MiB.
    static Result<JsonObject> parse(std::string_view text);
    // On one line, without spaces.
    std::string dump() const;
    // Indented by two spaces, with a line feed at the end: for people.
    std::string dump_lines() const;

    // Appends a member. Text of any bytes is escaped by printable().
    void set(std::string_view name, std::string_view text);
    void set(std::string_view name, std::uint64_t value);
    void set(std::string_view name, Time time) { set(name, std::string_view(to_rfc3339(time))); }
    void set(std::string_view name, JsonObject const& object);
    void set_hex(std::string_view name, ByteView bytes) {
        set(name, std::string_view(to_hex(bytes)));
    }

    // Reads a member. One that is missing or of another type yields an empty value and makes ok()
    // false for good (as ByteReader does). Members that nobody reads are ignored.
    bool has(std::string_view name) const;
    std::string text(std::string_view name);
    std::uint64_t number(std::string_view name);
    Time time(std::string_view name);
    Bytes hex(std::string_view name);
    JsonObject object(std::string_view name);
    template <typename Array>
    Array array(std::string_view name) {
        Array result{};
        auto bytes = hex(name);
        if (bytes.size() == result.size()) {
            std::copy(bytes.begin(), bytes.end(), result.begin());
        } else {
            fail_reading();
        }
        return result;
    }
    template <typename Id>
    Id id(std::string_view name) {
        return Id{array<decltype(Id::bytes)>(name)};
    }
    std::vector<std::string> names() const;
    bool ok() const { return ok_; }

  private:
    void fail_reading() { ok_ = false; }
    struct Data;
    std::unique_ptr<Data> data_;
    bool ok_ = true;
};

}  // namespace holdfast
