#pragma once

#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::plan {

// The entries of one section in the order of the file; each T has a `name`, and no two the same.
template <typename T>
class Named {
  public:
    T const* find(std::string_view name) const {
        for (auto const& item : items_) {
            if (item.name == name)
                return &item;
        }
        return nullptr;
    }
    T* find(std::string_view name) { return const_cast<T*>(std::as_const(*this).find(name)); }
    bool contains(std::string_view name) const { return find(name) != nullptr; }
    T& add(T item) { return items_.emplace_back(std::move(item)); }

    auto begin() const { return items_.begin(); }
    auto end() const { return items_.end(); }
    auto begin() { return items_.begin(); }
    auto end() { return items_.end(); }
    std::size_t size() const { return items_.size(); }
    bool empty() const { return items_.empty(); }

  private:
    std::vector<T> items_;
};

}  // namespace holdfast::plan
