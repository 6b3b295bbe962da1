#include "shell_words.hpp"

#include "../words.hpp"
#include "cleave/error.hpp"

#include <algorithm>
#include <array>

namespace cleave::command {
namespace {

Error bad_quoting(const std::string& message) {
  return {ErrorKind::bad_input, message};
}

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

// Reads one line from the left.
class Reader {
public:
  explicit Reader(std::string_view line) : rest_(line) {}

  std::vector<std::string> words() {
    while (true) {
      rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t"), rest_.size()));
      if (rest_.empty())
        return std::move(words_);
      read_word();
    }
  }

private:
  void read_word() {
    word_.clear();
    bool quoted = false;
    while (!rest_.empty() && !is_blank(rest_.front())) {
      const char c = take();
      quoted = quoted || c == '\'' || c == '"' || c == '\\';
      if (c == '\'')
        read_single();
      else if (c == '"')
        read_double();
      else
        word_ += c == '\\' ? escaped() : c;
    }
    if (!quoted)
      refuse_operator();
    words_.push_back(word_);
  }

  void read_single() {
    const auto end = rest_.find('\'');
    if (end == std::string_view::npos)
      throw bad_quoting("a single quote is not closed");
    word_ += rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
  }

  // In double quotes a backslash is one but before these.
  void read_double() {
    while (!rest_.empty()) {
      const char c = take();
      if (c == '"')
        return;
      const bool escape = c == '\\' && !rest_.empty() &&
                          std::string_view("$`\"\\").find(rest_.front()) != std::string_view::npos;
      word_ += escape ? take() : c;
    }
    throw bad_quoting("a double quote is not closed");
  }

  char escaped() {
    if (rest_.empty())
      throw bad_quoting("ends in a backslash, which quotes nothing");
    return take();
  }

  char take() {
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }

  // What was meant for a shell would become an argument, and the program would hardly complain.
  void refuse_operator() const {
    static constexpr std::array operators = {"|", "||", "&",  "&&",  ";",    ">",
                                             "<", ">>", "2>", "2>>", "2>&1", "&>"};
    if (std::find(operators.begin(), operators.end(), word_) != operators.end())
      throw bad_quoting(in_quotes(word_) +
                        " is for a shell; ask for one by shell=true, or quote it");
  }

  std::string_view rest_;
  std::string word_;
  std::vector<std::string> words_;
};

} // namespace

std::vector<std::string> shell_words(std::string_view line) {
  if (line.find('\0') != std::string_view::npos)
    throw bad_quoting("has a NUL character, which no argument can hold");
  return Reader(line).words();
}

std::string shell_quoted(std::string_view word) {
  static constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%^";
  if (!word.empty() && word.find_first_not_of(plain) == std::string_view::npos)
    return std::string(word);
  std::string text = "'";
  for (const char c : word)
    text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

std::string shell_line(const std::vector<std::string>& words) {
  std::vector<std::string> quoted;
  for (const std::string& word : words)
    quoted.push_back(shell_quoted(word));
  return join(quoted, " ");
}

} // namespace cleave::command
