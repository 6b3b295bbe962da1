#include "ordered_output.hpp"

#include "cleave/error.hpp"

#include <cerrno>
#include <cstring>
#include <utility>

namespace cleave::command {

OrderedOutput::OrderedOutput(Tell tell, std::vector<bool> skipped, bool tag,
                             std::size_t most_in_memory)
    : tell_(std::move(tell)), done_(std::move(skipped)), tag_(tag), most_in_memory_(most_in_memory),
      file_(nullptr, &std::fclose) {}

void OrderedOutput::add(std::int64_t number, std::string output, std::string error) {
  done_.at(static_cast<std::size_t>(number - 1)) = true;
  if (!output.empty() || !error.empty()) {
    Held held{std::move(output), std::move(error)};
    held.output_size = held.output.size();
    held.error_size = held.error.size();
    if (in_memory_ + held.output_size + held.error_size > most_in_memory_)
      spill(held);
    in_memory_ += held.output.size() + held.error.size();
    held_.emplace(number, std::move(held));
  }
  tell_next();
}

void OrderedOutput::tell_next() {
  while (next_ < done_.size() && done_[next_])
    ++next_;
  while (!held_.empty() && held_.begin()->first <= static_cast<std::int64_t>(next_)) {
    auto first = held_.extract(held_.begin());
    tell(first.key(), std::move(first.mapped()));
  }
  if (held_.empty())
    file_.reset();
}

void OrderedOutput::finish() {
  next_ = done_.size();
  tell_next();
}

void OrderedOutput::tell(std::int64_t number, Held held) {
  if (held.offset >= 0)
    fetch(held);
  else
    in_memory_ -= held.output.size() + held.error.size();
  tell_lines(number, held.output, false);
  tell_lines(number, held.error, true);
}

// Tagged lines end, so that no two tasks share one.
void OrderedOutput::tell_lines(std::int64_t number, std::string_view text, bool error) {
  if (text.empty() || !tag_) {
    if (!text.empty())
      tell_(text, error);
    return;
  }
  const std::string tag = std::to_string(number) + "\t";
  std::string lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    lines.append(tag).append(text.substr(0, end)).append("\n");
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  tell_(lines, error);
}

void OrderedOutput::spill(Held& held) {
  if (!file_)
    file_.reset(std::tmpfile());
  const bool written =
      file_ && std::fseek(file_.get(), 0, SEEK_END) == 0 &&
      (held.offset = std::ftell(file_.get())) >= 0 &&
      std::fwrite(held.output.data(), 1, held.output_size, file_.get()) == held.output_size &&
      std::fwrite(held.error.data(), 1, held.error_size, file_.get()) == held.error_size;
  if (!written)
    throw Error(ErrorKind::io, std::string("cannot keep the output of tasks that ended before "
                                           "earlier ones: ") +
                                   std::strerror(errno) + "; use outputs=DIR");
  held.output = {};
  held.error = {};
}

void OrderedOutput::fetch(Held& held) {
  held.output.resize(held.output_size);
  held.error.resize(held.error_size);
  const bool read =
      std::fseek(file_.get(), held.offset, SEEK_SET) == 0 &&
      std::fread(held.output.data(), 1, held.output_size, file_.get()) == held.output_size &&
      std::fread(held.error.data(), 1, held.error_size, file_.get()) == held.error_size;
  if (!read)
    throw Error(ErrorKind::io, "cannot read back the output of tasks that was held back");
}

} // namespace cleave::command
