#include "words.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <memory>
#include <new>
#include <numeric>
#include <typeinfo>

namespace cleave {
namespace {

// Levenshtein 1966: insertions, deletions and substitutions that turn a into b.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

/// @param type nothing: thrown by another language
std::string name_of(const std::type_info* type) {
  return type == nullptr ? "an exception of an unknown type" : demangled(type->name());
}

Error refusal(const std::filesystem::filesystem_error& failure) {
  constexpr std::size_t most = 200; // of a name: whoever reads it has to find the reason, too
  std::string name = failure.path1().string();
  if (name.size() > most)
    name = name.substr(0, most) + "...";
  return {ErrorKind::bad_input, "cannot be looked up: " + failure.code().message(), {name, 0, ""}};
}

} // namespace

std::string demangled(const char* name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(name, nullptr, nullptr, &status), std::free);
  return status == 0 ? text.get() : name;
}

std::string in_quotes(std::string_view text) {
  return "\"" + std::string(text) + "\"";
}

std::string join(const std::vector<std::string>& names, std::string_view between) {
  std::string text;
  for (const std::string& name : names)
    text.append(text.empty() ? "" : between).append(name);
  return text;
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

std::string nearest(std::string_view unknown, const std::vector<std::string>& names) {
  std::string best;
  std::size_t limit = unknown.size() / 3 + 2;
  for (const std::string& name : names)
    if (const std::size_t d = distance(unknown, name); d < limit && d < name.size()) {
      limit = d;
      best = name;
    }
  return best;
}

std::string unknown_name(std::string_view what, std::string_view unknown,
                         const std::vector<std::string>& names) {
  std::string text = "unknown " + std::string(what) + " " + in_quotes(unknown) + "; ";
  if (const std::string meant = nearest(unknown, names); !meant.empty())
    text += "did you mean " + in_quotes(meant) + "? ";
  return text + (names.empty() ? "there is none" : "known: " + join(names));
}

Thrown current_exception_words() {
  try {
    throw;
  } catch (const std::exception& error) {
    const char* const what = error.what(); // of a user's class: it may be nothing
    return {name_of(&typeid(error)), what == nullptr ? "" : what};
  } catch (...) {
    return {name_of(abi::__cxa_current_exception_type()), ""};
  }
}

Error current_error() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return {ErrorKind::io, "out of memory; use more nodes or a smaller problem"};
  } catch (const std::filesystem::filesystem_error& error) {
    return refusal(error);
  } catch (...) {
    const Thrown thrown = current_exception_words();
    return {ErrorKind::failed_task,
            thrown.what.empty() ? thrown.type : thrown.type + ": " + thrown.what};
  }
}

} // namespace cleave
