#include "cleave/workload.hpp"

#include "words.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <system_error>

namespace cleave {
namespace {

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos)
    return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string shortest(double value) {
  std::array<char, 32> buffer{};
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  std::string text(buffer.data(), end);
  if (const auto e = text.find('e'); e != std::string::npos) // 1e+06 -> 1e6
    text.replace(e + 1, std::string::npos, std::to_string(std::stoi(text.substr(e + 1))));
  return text;
}

// A decimal number taken apart: sign, digits and the power of ten behind them.
struct Decimal {
  bool negative = false;
  std::string digits;
  std::int64_t exponent = 0;
};

std::optional<Decimal> read_decimal(std::string_view text) {
  Decimal number;
  if (!text.empty() && (text.front() == '+' || text.front() == '-')) {
    number.negative = text.front() == '-';
    text.remove_prefix(1);
  }
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  std::size_t at = 0;
  bool fraction = false;
  for (; at < text.size() && (is_digit(text[at]) || (text[at] == '.' && !fraction)); ++at) {
    if (text[at] == '.') {
      fraction = true;
      continue;
    }
    number.digits += text[at];
    number.exponent -= fraction ? 1 : 0;
  }
  if (number.digits.empty())
    return std::nullopt;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    at += at + 1 < text.size() && text[at + 1] == '+' ? 2 : 1;
    std::int64_t power = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), power);
    if (error != std::errc{} || power > 1'000'000 || power < -1'000'000)
      return std::nullopt;
    number.exponent += power;
    at = static_cast<std::size_t>(end - text.data());
  }
  return at == text.size() ? std::optional(number) : std::nullopt;
}

// Exact, unlike a way through double: 9007199254740993 and 9.007199254740993e15 are the same.
std::optional<std::int64_t> read_integer(std::string_view text) {
  std::optional<Decimal> number = read_decimal(text);
  if (!number)
    return std::nullopt;
  for (; number->exponent < 0 && number->digits.size() > 1 && number->digits.back() == '0';
       ++number->exponent)
    number->digits.pop_back();
  if (number->digits.find_first_not_of('0') == std::string::npos)
    return 0;
  if (number->exponent < 0 || number->exponent > 18)
    return std::nullopt;
  number->digits.append(static_cast<std::size_t>(number->exponent), '0');
  if (number->negative)
    number->digits.insert(number->digits.begin(), '-');
  std::int64_t value = 0;
  const char* const last = number->digits.data() + number->digits.size();
  const auto [end, error] = std::from_chars(number->digits.data(), last, value);
  return error == std::errc{} && end == last ? std::optional(value) : std::nullopt;
}

std::optional<double> read_real(std::string_view text) {
  if (!text.empty() && text.front() == '+')
    text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

// Validates texts against one parameter; every refusal names the place.
class Reader {
public:
  Reader(const Parameter& parameter, const ErrorPlace& place)
      : parameter_(parameter), place_(place) {
    if (place_.key.empty())
      place_.key = parameter.name;
  }

  [[nodiscard]] Error error(const std::string& message) const {
    return {ErrorKind::bad_input, message, place_};
  }

  [[nodiscard]] std::variant<std::int64_t, std::vector<std::int64_t>, double, std::string>
  value(const std::string& text) const {
    switch (parameter_.type) {
    case ParameterType::integer:
      return integer(text);
    case ParameterType::integers:
      return integers(text);
    case ParameterType::real:
      return real(text);
    case ParameterType::text:
    case ParameterType::input_file:
    case ParameterType::output_file:
      break;
    }
    return word(text);
  }

private:
  [[nodiscard]] std::int64_t integer(std::string_view text) const {
    const std::optional<std::int64_t> value = read_integer(trim(text));
    if (!value)
      throw error("must be a whole number below 2^63, such as 1000000 or 1e6, not " +
                  in_quotes(text));
    in_range(static_cast<double>(*value), text);
    return *value;
  }

  [[nodiscard]] double real(std::string_view text) const {
    const std::optional<double> value = read_real(trim(text));
    if (!value)
      throw error("must be a finite number, such as 0.5 or 1e6, not " + in_quotes(text));
    in_range(*value, text);
    return *value;
  }

  [[nodiscard]] std::vector<std::int64_t> integers(std::string_view text) const {
    std::vector<std::int64_t> values;
    for (std::string_view rest = text;;) {
      const auto comma = rest.find(',');
      values.push_back(integer(rest.substr(0, comma)));
      if (comma == std::string_view::npos)
        return values;
      rest.remove_prefix(comma + 1);
    }
  }

  [[nodiscard]] std::string word(const std::string& text) const {
    const std::vector<std::string>& choices = parameter_.choices;
    if (!choices.empty() && std::find(choices.begin(), choices.end(), text) == choices.end())
      throw error("must be one of " + join(choices) + ", not " + in_quotes(text));
    if (parameter_.required && text.empty())
      throw error("must not be empty");
    if (text.find('\0') != std::string::npos) // where a name ends for the system
      throw error("must not hold a NUL character");
    return text;
  }

  void in_range(double value, std::string_view text) const {
    if (value < parameter_.minimum || value > parameter_.maximum)
      throw error("must be " + range_text(parameter_) + ", not " + std::string(trim(text)));
  }

  const Parameter& parameter_;
  ErrorPlace place_;
};

} // namespace

const char* name(ParameterType type) noexcept {
  switch (type) {
  case ParameterType::integer:
    return "whole number";
  case ParameterType::integers:
    return "whole numbers";
  case ParameterType::real:
    return "number";
  case ParameterType::text:
    return "text";
  case ParameterType::input_file:
    return "input file";
  case ParameterType::output_file:
    return "output file";
  }
  return "text";
}

std::string range_text(const Parameter& parameter) {
  if (!parameter.choices.empty())
    return join(parameter.choices);
  const bool low = std::isfinite(parameter.minimum);
  const bool high = std::isfinite(parameter.maximum);
  if (low && high)
    return shortest(parameter.minimum) + " to " + shortest(parameter.maximum);
  if (low)
    return "at least " + shortest(parameter.minimum);
  return high ? "at most " + shortest(parameter.maximum) : "";
}

Values::Values(const std::vector<Parameter>& parameters,
               const std::map<std::string, Given>& given) {
  std::vector<std::string> names;
  for (const Parameter& parameter : parameters)
    names.push_back(parameter.name);
  for (const auto& [key, value] : given)
    if (std::find(names.begin(), names.end(), key) == names.end())
      throw Error(ErrorKind::bad_input, unknown_name("parameter", key, names), value.place);
  for (const Parameter& parameter : parameters) {
    const auto found = given.find(parameter.name);
    Item item{parameter,
              found == given.end() ? Given{parameter.default_value, {}, {}} : found->second,
              {}};
    const Reader read(item.parameter, item.given.place);
    if (found == given.end() && parameter.required)
      throw read.error("missing; give it as -p " + parameter.name +
                       "=VALUE or under [parameters] of the job file");
    item.value = read.value(item.given.text);
    items_.push_back(std::move(item));
  }
}

const Values::Item& Values::item(std::string_view name) const {
  const auto found = std::find_if(items_.begin(), items_.end(),
                                  [&](const Item& i) { return i.parameter.name == name; });
  if (found == items_.end())
    throw Error(ErrorKind::bad_input, "the workload asks for a parameter that it does not declare",
                {"", 0, std::string(name)});
  return *found;
}

namespace {

// The value as the type that the workload asks for, which must be the declared one.
template <class T, class Value>
const T& as(const Value& value, std::string_view name) {
  if (const T* held = std::get_if<T>(&value))
    return *held;
  throw Error(ErrorKind::bad_input, "the workload asks for another type than it declares",
              {"", 0, std::string(name)});
}

} // namespace

std::int64_t Values::integer(std::string_view name) const {
  return as<std::int64_t>(item(name).value, name);
}

std::vector<std::int64_t> Values::integers(std::string_view name) const {
  return as<std::vector<std::int64_t>>(item(name).value, name);
}

double Values::real(std::string_view name) const {
  return as<double>(item(name).value, name);
}

std::string Values::text(std::string_view name) const {
  return as<std::string>(item(name).value, name);
}

std::filesystem::path Values::file(std::string_view name) const {
  const std::string& text = as<std::string>(item(name).value, name);
  return text.empty() ? std::filesystem::path() : item(name).given.base / text;
}

Error Values::error(std::string_view name, const std::string& message) const {
  const Item& about = item(name);
  return Reader(about.parameter, about.given.place).error(message);
}

Summary Values::facts() const {
  Summary facts;
  for (const Item& item : items_)
    facts.push_back({item.parameter.name,
                     std::visit([](const auto& value) { return Fact::Value(value); }, item.value)});
  return facts;
}

std::vector<std::pair<std::string, std::string>> Values::all() const {
  struct Text {
    std::string operator()(std::int64_t value) const { return std::to_string(value); }
    std::string operator()(double value) const { return shortest(value); }
    std::string operator()(const std::string& value) const { return value; }
    std::string operator()(const std::vector<std::int64_t>& values) const {
      std::vector<std::string> texts;
      for (const std::int64_t value : values)
        texts.push_back(std::to_string(value));
      return join(texts, ",");
    }
  };
  std::vector<std::pair<std::string, std::string>> all;
  for (const Item& item : items_)
    all.emplace_back(item.parameter.name, std::visit(Text{}, item.value));
  return all;
}

void Job::write_result(const std::filesystem::path& file) const {
  write_summary(file, summary());
}

void Job::accept_result(const std::filesystem::path& file) const {
  accept_summary_file(file);
}

std::string config_hash(const std::string& workload, const Values& values) {
  std::string config = workload + "\n";
  for (const auto& [name, text] : values.all())
    config.append(name).append(" = ").append(text).append("\n");
  return hex16(checksum(std::as_bytes(std::span(config))));
}

} // namespace cleave
