/// @file
/// A command with fields in braces, to be filled in for each task.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cleave::command {

/// "render --frame {frame} --out out/{frame}.png": {NAME} stands for the field's value, {task} for
/// the number of the task, {{ and }} for braces. Without a shell it is taken apart into words
/// first, so that a value is never more than a part of one word; for a shell values are quoted.
class Template {
public:
  /// @param names of the fields @param shell fill() makes one line for a shell
  /// @throws Error bad_input, without a place, for an unknown field, an unbalanced brace, and what
  ///         shell_words() refuses
  Template(std::string_view text, const std::vector<std::string>& names, bool shell);

  /// The words with the values filled in; of a shell's template the one line. Local, thread-safe.
  [[nodiscard]] std::vector<std::string> fill(std::int64_t task,
                                              const std::vector<std::string>& values) const;

private:
  struct Piece {
    std::string text;
    int field = -1; // index of the name; -1: the text; names.size(): the task's number
  };
  using Word = std::vector<Piece>;

  [[nodiscard]] static Word pieces(std::string_view word, const std::vector<std::string>& names);

  bool shell_;
  std::vector<Word> words_;
};

} // namespace cleave::command
