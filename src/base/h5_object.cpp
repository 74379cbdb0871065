#include <algorithm>

#include "base/h5.h"

namespace actsweep {
namespace {

herr_t collect_reason(unsigned depth, const H5E_error2_t* error, void* text) {
  constexpr unsigned kDepths =
      2;  // the innermost entries say why; those around them repeat our own words
  if (depth >= kDepths || error->desc == nullptr) return 0;
  auto& reason = *static_cast<std::string*>(text);
  reason = reason.empty() ? error->desc : fmt::format("{}: {}", error->desc, reason);
  std::replace(reason.begin(), reason.end(), '\n', ' ');
  return 0;
}

std::string error_stack_text() {
  std::string text;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, collect_reason, &text);
  H5Eclear2(H5E_DEFAULT);
  text = text.substr(0, text.find(", buf = "));  // addresses in memory help nobody
  return text.empty() ? "HDF5 gives no reason" : text;
}

herr_t collect_attribute_name(hid_t, const char* name, const H5A_info_t*, void* names) {
  static_cast<std::vector<std::string>*>(names)->emplace_back(name);
  return 0;
}

H5Id make_text_type(size_t size) {
  H5Id type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), size);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  return type;
}

std::string read_text_attribute(const H5Object& object, hid_t attribute, hid_t type) {
  if (object.check(H5Tis_variable_str(type), "look at an attribute's type") > 0) {
    const H5Id memory = make_text_type(H5T_VARIABLE);
    H5Tset_cset(memory.get(), H5Tget_cset(type));
    char* text = nullptr;
    object.check(H5Aread(attribute, memory.get(), &text), "read a text attribute");
    std::string copy = text == nullptr ? "" : text;
    H5free_memory(text);
    return copy;
  }
  std::string text(H5Tget_size(type), '\0');
  object.check(H5Aread(attribute, type, text.data()), "read a text attribute");
  return text.substr(0, text.find('\0'));
}

}  // namespace

H5Id& H5Id::operator=(H5Id&& other) noexcept {
  if (this != &other) {
    close();
    id_ = std::exchange(other.id_, -1);
    closer_ = other.closer_;
  }
  return *this;
}

herr_t H5Id::close() {
  if (id_ < 0) return 0;
  return closer_(std::exchange(id_, -1));
}

H5Id make_property_list(hid_t property_class) { return {H5Pcreate(property_class), H5Pclose}; }

H5Object::H5Object(H5Id id, ErrorKind kind, std::string file, std::string path)
    : id_(std::move(id)), kind_(kind), file_(std::move(file)), path_(std::move(path)) {}

int64_t H5Object::check(int64_t status, std::string_view action) const {
  if (status >= 0) return status;
  const std::string reason = error_stack_text();
  fail(kind_, "{}: cannot {}{}{}: {}", file_, action, path_.empty() ? "" : " of /", path_, reason);
}

bool H5Object::has_attribute(const std::string& name) const {
  return check(H5Aexists(id(), name.c_str()), "look for an attribute") > 0;
}

void H5Object::write_attribute(const Attribute& attribute) const {
  const auto write = [&](hid_t file_type, hid_t memory_type, const void* value) {
    const H5Id space(H5Screate(H5S_SCALAR), H5Sclose);
    const H5Id created(
        H5Acreate2(id(), attribute.name.c_str(), file_type, space.get(), H5P_DEFAULT, H5P_DEFAULT),
        H5Aclose);
    check(created.get(), "create attribute '" + attribute.name + "'");
    check(H5Awrite(created.get(), memory_type, value), "write attribute '" + attribute.name + "'");
  };
  if (const auto* number = std::get_if<int64_t>(&attribute.value)) {
    write(H5T_STD_I64LE, H5T_NATIVE_INT64, number);
  } else if (const auto* real = std::get_if<double>(&attribute.value)) {
    write(H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, real);
  } else {
    const H5Id type = make_text_type(H5T_VARIABLE);
    const char* text = std::get<std::string>(attribute.value).c_str();
    write(type.get(), type.get(), &text);
  }
}

AttributeValue H5Object::read_attribute(const std::string& name) const {
  require(has_attribute(name), kind_, "{}: /{} has no attribute '{}'", file_, path_, name);
  const H5Id attribute(H5Aopen(id(), name.c_str(), H5P_DEFAULT), H5Aclose);
  check(attribute.get(), "open attribute '" + name + "'");
  const H5Id type(H5Aget_type(attribute.get()), H5Tclose);
  const H5Id space(H5Aget_space(attribute.get()), H5Sclose);
  require(H5Sget_simple_extent_npoints(space.get()) == 1, kind_,
          "{}: attribute '{}' of /{} holds {} values, expected 1", file_, name, path_,
          H5Sget_simple_extent_npoints(space.get()));
  switch (H5Tget_class(type.get())) {
    case H5T_INTEGER: {
      int64_t number = 0;
      check(H5Aread(attribute.get(), H5T_NATIVE_INT64, &number), "read attribute '" + name + "'");
      return number;
    }
    case H5T_FLOAT: {
      double number = 0;
      check(H5Aread(attribute.get(), H5T_NATIVE_DOUBLE, &number), "read attribute '" + name + "'");
      return number;
    }
    case H5T_STRING:
      return read_text_attribute(*this, attribute.get(), type.get());
    default:
      fail(kind_, "{}: attribute '{}' of /{} is neither a number nor a text", file_, name, path_);
  }
}

std::vector<std::string> H5Object::attribute_names() const {
  std::vector<std::string> names;
  hsize_t position = 0;
  check(H5Aiterate2(id(), H5_INDEX_NAME, H5_ITER_INC, &position, collect_attribute_name, &names),
        "list the attributes");
  return names;
}

int64_t H5Object::read_int(const std::string& name) const {
  const AttributeValue value = read_attribute(name);
  const auto* number = std::get_if<int64_t>(&value);
  require(number != nullptr, kind_, "{}: attribute '{}' of /{} is not a whole number", file_, name,
          path_);
  return *number;
}

std::string H5Object::read_text(const std::string& name) const {
  AttributeValue value = read_attribute(name);
  auto* text = std::get_if<std::string>(&value);
  require(text != nullptr, kind_, "{}: attribute '{}' of /{} is not a text", file_, name, path_);
  return std::move(*text);
}

}  // namespace actsweep
