#include "data/safetensors/header_parser.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "core/shape.h"

namespace folio {
namespace {

using Json = nlohmann::json;

// Follows the text as it is read, so that no more of it is kept than what is wanted: a tree of
// hostile text could take many times its size, or nest without end.
class HeaderParser final : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderParser(const std::string& name) : name_(name) {}

  RawHeader header;

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return unexpected("a fraction"); }
  bool binary(binary_t&) override { return unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    check(place_ == Place::shape || place_ == Place::offsets, "{}: {} has an unexpected number",
          name_, where());
    check(value <= uint64_t(std::numeric_limits<int64_t>::max()), "{}: {} has the number {}", name_,
          where(), value);
    if (place_ == Place::shape) {
      check(entry_->shape.size() < Shape::max_rank, "{}: {} has more than {} dimensions", name_,
            where(), Shape::max_rank);
      entry_->shape.push_back(int64_t(value));
      return true;
    }
    check(offsets_ < 2, "{}: {} has more than two data_offsets", name_, where());
    entry_->data_offsets[offsets_++] = value;
    return true;
  }

  bool string(string_t& text) override {
    if (place_ == Place::metadata) {
      bool fresh = header.metadata.emplace(key_, text).second;
      check(fresh, "{}: __metadata__ has \"{}\" twice", name_, key_);
      return true;
    }
    check(place_ == Place::entry && key_ == "dtype", "{}: {} has an unexpected string", name_,
          where());
    entry_->dtype = text;
    return true;
  }

  bool start_object(size_t) override {
    if (place_ == Place::start) {
      place_ = Place::top;
    } else if (place_ == Place::top && key_ == "__metadata__") {
      check(!metadata_seen_, "{}: has __metadata__ twice", name_);
      metadata_seen_ = true;
      place_ = Place::metadata;
    } else if (place_ == Place::top) {
      auto [entry, fresh] = header.tensors.emplace(key_, RawEntry{});
      check(fresh, "{}: has tensor {} twice", name_, key_);
      tensor_ = key_;
      entry_ = &entry->second;
      seen_ = {};
      offsets_ = 0;
      place_ = Place::entry;
    } else {
      return unexpected("an object");
    }
    return true;
  }

  bool key(string_t& text) override {
    key_ = text;
    if (place_ != Place::entry) return true;
    size_t which = text == "dtype" ? 0 : text == "shape" ? 1 : text == "data_offsets" ? 2 : 3;
    check(which < 3, "{}: {} has the unknown key \"{}\"", name_, where(), text);
    check(!seen_[which], "{}: {} has \"{}\" twice", name_, where(), text);
    seen_[which] = true;
    return true;
  }

  bool end_object() override {
    if (place_ == Place::entry)
      check(seen_[0] && seen_[1] && seen_[2] && offsets_ == 2,
            "{}: {} needs a dtype, a shape and two data_offsets", name_, where());
    place_ = place_ == Place::top ? Place::end : Place::top;
    return true;
  }

  bool start_array(size_t) override {
    if (place_ != Place::entry || key_ == "dtype") return unexpected("an array");
    place_ = key_ == "shape" ? Place::shape : Place::offsets;
    return true;
  }

  bool end_array() override {
    place_ = Place::entry;
    return true;
  }

  bool parse_error(size_t at, const std::string&, const Json::exception& error) override {
    fail("{}: its header is not JSON at byte {}: {}", name_, at, error.what());
  }

 private:
  enum class Place { start, top, metadata, entry, shape, offsets, end };

  std::string where() const {
    bool in_tensor = place_ == Place::entry || place_ == Place::shape || place_ == Place::offsets;
    if (in_tensor) return "tensor " + tensor_;
    return place_ == Place::metadata ? "__metadata__" : "the header";
  }
  bool unexpected(const char* what) const {
    fail("{}: {} has {} where safetensors allows none", name_, where(), what);
  }

  const std::string& name_;
  Place place_ = Place::start;
  std::string key_, tensor_;
  RawEntry* entry_ = nullptr;
  std::array<bool, 3> seen_{};
  size_t offsets_ = 0;
  bool metadata_seen_ = false;
};

}  // namespace

RawHeader parse_header_json(std::string_view json, const std::string& name) {
  check(json.starts_with('{'), "{}: its header does not start with {{", name);
  // The parser would take a zero for the end of the text and not read what follows.
  size_t zero = json.find('\0');
  check(zero == json.npos, "{}: its header is not JSON at byte {}: a zero", name, zero);
  HeaderParser parser(name);
  Json::sax_parse(json, &parser);
  return std::move(parser.header);
}

}  // namespace folio
