#include "template.hpp"

#include "../words.hpp"
#include "cleave/error.hpp"
#include "shell_words.hpp"

#include <algorithm>
#include <utility>

namespace cleave::command {
namespace {

Error bad_template(const std::string& message) {
  return {ErrorKind::bad_input, message};
}

} // namespace

Template::Template(std::string_view text, const std::vector<std::string>& names, bool shell)
    : shell_(shell) {
  std::vector<std::string> known = names;
  known.emplace_back("task");
  if (shell)
    words_ = {pieces(text, known)};
  else
    for (const std::string& word : shell_words(text))
      words_.push_back(pieces(word, known));
  if (words_.empty() || words_.front().empty())
    throw bad_template("must name a program");
}

Template::Word Template::pieces(std::string_view word, const std::vector<std::string>& names) {
  Word pieces;
  std::string text;
  for (std::size_t i = 0; i < word.size(); ++i) {
    const char c = word[i];
    if ((c == '{' || c == '}') && word.substr(i + 1, 1) == word.substr(i, 1)) {
      text += word[i++];
      continue;
    }
    if (c == '}')
      throw bad_template("a closing brace has no opening one; write }} for a brace");
    if (c != '{') {
      text += c;
      continue;
    }
    const auto end = word.find('}', i);
    if (end == std::string_view::npos)
      throw bad_template("an opening brace has no closing one; write {{ for a brace");
    const std::string name(word.substr(i + 1, end - i - 1));
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end())
      throw bad_template(unknown_name("field", name, names));
    pieces.push_back({std::exchange(text, {}), -1});
    pieces.push_back({{}, static_cast<int>(found - names.begin())});
    i = end;
  }
  if (!text.empty() || pieces.empty())
    pieces.push_back({text, -1});
  return pieces;
}

std::vector<std::string> Template::fill(std::int64_t task,
                                        const std::vector<std::string>& values) const {
  std::vector<std::string> words;
  for (const Word& word : words_) {
    std::string& text = words.emplace_back();
    for (const Piece& piece : word) {
      const auto field = static_cast<std::size_t>(piece.field);
      if (piece.field < 0)
        text += piece.text;
      else if (field == values.size())
        text += std::to_string(task);
      else
        text += shell_ ? shell_quoted(values[field]) : values[field];
    }
  }
  return words;
}

} // namespace cleave::command
