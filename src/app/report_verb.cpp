#include "report_verb.hpp"

#include "../new_file.hpp"
#include "../words.hpp"
#include "cleave/error.hpp"
#include "cleave/report.hpp"
#include "command.hpp"
#include "output.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <filesystem>
#include <future>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>

namespace cleave::app {
namespace {

namespace fs = std::filesystem;

constexpr int not_strict_enough = 3;

const char* const examples = R"(
Examples:
  cleave report a.h5                            a run, on the terminal
  cleave report studies/ep-strong               a study: table, plots in characters, advice
  cleave report studies/ep-strong -o report     report/report.html, a page with figures, and text
  cleave report *.h5 --format csv > points.csv  one row a point
  cleave report DIR -o paper --format svg,pdf   figures as files
  cleave report a.h5 --format perfetto -o .     traces for ui.perfetto.dev
  cleave report DIR --strict                    are the twelve rules of Hoefler & Belli kept?

Exit status: 0 done, 2 bad input, 3 files that cannot be written, or --strict and rules not kept.)";

/// The formats in the order of --help; those up to `md` are texts.
constexpr std::array<const char*, 9> formats = {"text", "csv", "json", "md",      "html",
                                                "svg",  "pdf", "png",  "perfetto"};
constexpr std::size_t texts = 4;

Error refusal(const std::string& message, const std::string& option) {
  return {ErrorKind::bad_input, message, {"", 0, option}};
}

/// The formats of "text,html", each once.
std::vector<std::string> formats_in(const std::string& list) {
  std::vector<std::string> found;
  std::istringstream stream(list);
  for (std::string word; std::getline(stream, word, ',');) {
    const std::vector<std::string> known(formats.begin(), formats.end());
    if (std::ranges::find(known, word) == known.end())
      throw refusal(unknown_name("format", word, known), "--format");
    if (std::ranges::find(found, word) == found.end())
      found.push_back(word);
  }
  if (found.empty())
    throw refusal("must name a format, such as text,html", "--format");
  return found;
}

bool is_text(const std::string& format) {
  return std::find(formats.begin(), formats.begin() + texts, format) != formats.begin() + texts;
}

/// What is to be made, and where.
struct Wanted {
  std::vector<std::string> formats;
  fs::path directory; ///< empty: on standard output
};

Wanted wanted_by(const ReportRequest& request, const Results& results) {
  Wanted wanted;
  if (request.directory)
    wanted.directory = *request.directory;
  if (request.formats)
    wanted.formats = formats_in(*request.formats);
  else
    wanted.formats = request.directory ? std::vector<std::string>{"html", "text"}
                                       : std::vector<std::string>{"text"};
  const bool printable = wanted.formats.size() == 1 && is_text(wanted.formats.front());
  if (wanted.directory.empty() && !printable) {
    if (!results.study || request.results.size() != 1)
      throw refusal(join(wanted.formats) + (wanted.formats.size() == 1 ? " is" : " are") +
                        " written into a folder: name one, such as -o report",
                    "-o");
    wanted.directory = fs::path(request.results.front()) / "report";
  }
  return wanted;
}

/// One drawing of every figure, several at once; empty without gnuplot.
std::vector<std::string> drawings(const Report& report, const Gnuplot& gnuplot, Picture picture) {
  std::vector<std::future<std::string>> under_way;
  for (const Figure& figure : report.figures)
    under_way.push_back(
        std::async(std::launch::async, [&] { return gnuplot.draw(figure, picture); }));
  std::vector<std::string> drawn;
  for (auto& drawing : under_way)
    drawn.push_back(drawing.get());
  return drawn;
}

/// Makes the formats of a report and remembers what it wrote.
class Maker {
public:
  Maker(const Report& report, fs::path directory)
      : report_(report), directory_(std::move(directory)) {}

  [[nodiscard]] std::string text_of(const std::string& format) const {
    if (format == "csv")
      return as_csv(report_);
    if (format == "json")
      return as_json(report_);
    return format == "md" ? as_markdown(report_) : as_text(report_);
  }

  void make(const std::string& format) {
    if (format == "text")
      write("report.txt", text_of(format));
    else if (format == "csv")
      write("points.csv", text_of(format));
    else if (is_text(format))
      write("report." + format, text_of(format));
    else if (format == "html")
      write("report.html", as_page(report_, drawn(Picture::svg)));
    else if (format == "perfetto")
      write_traces();
    else
      write_figures(format, format == "svg"   ? Picture::svg
                            : format == "pdf" ? Picture::pdf
                                              : Picture::png);
  }

  [[nodiscard]] const std::vector<fs::path>& written() const { return written_; }

private:
  void write(const std::string& name, std::string_view bytes) {
    replace_with_text(directory_ / name, bytes);
    written_.push_back(directory_ / name);
  }

  std::vector<std::string> drawn(Picture picture) {
    if (gnuplot_.present())
      return drawings(report_, gnuplot_, picture);
    if (!told_)
      tell(Error(ErrorKind::io, "gnuplot is not on PATH, so there are no figures; install it "
                                "(apt install gnuplot-nox) and report again"),
           false);
    told_ = true;
    return {};
  }

  void write_figures(const std::string& format, Picture picture) {
    const std::vector<std::string> all = drawn(picture);
    for (std::size_t i = 0; i < all.size(); ++i)
      write("figure-" + report_.figures[i].name + "." + format, all[i]);
  }

  void write_traces() {
    for (std::size_t i = 0; i < report_.results.points.size(); ++i) {
      const Point& point = report_.results.points[i];
      if (point.samples.empty())
        continue;
      write("trace-" + point.files.front().stem().string() + ".json",
            perfetto_trace(report_.results, i, read_point_trace(report_.results, i)));
    }
  }

  const Report& report_;
  fs::path directory_;
  Gnuplot gnuplot_;
  std::vector<fs::path> written_;
  bool told_ = false;
};

Report report_on(const ReportRequest& request) {
  std::vector<fs::path> paths(request.results.begin(), request.results.end());
  if (paths.size() > 1) // as of *.h5: a trace goes with its timings file
    std::erase_if(paths, [](const fs::path& path) {
      return path.filename().string().ends_with(".trace.h5");
    });
  Results results = read_results(paths);
  StudyTable table = tabulate(results);
  renew_study(results, table);
  std::optional<PointTrace> trace;
  if (const auto largest = largest_traced(results))
    trace = read_point_trace(results, *largest);
  return make_report(std::move(results), std::move(table), trace);
}

/// Names the rules that the data do not keep. @return the exit status
int judge(const Report& report) {
  int status = 0;
  for (const ReportRule& rule : report.rules)
    for (const std::string& unmet : rule.unmet) {
      static_cast<void>(print_output("cleave: rule " + std::to_string(rule.number) + " (" +
                                         rule.demand + ") " + unmet + "\n",
                                     true));
      status = not_strict_enough;
    }
  return status;
}

void make_directory(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error)
    throw refusal(
        "cannot make the folder " + in_quotes(directory.string()) + ": " + error.message(), "-o");
}

} // namespace

CLI::App* add_report(CLI::App& app, ReportRequest& request) {
  CLI::App* verb = app.add_subcommand("report", "Tables, figures and advice from timings files");
  verb->add_option("result", request.results, "Timings files, folders of them, or a study's folder")
      ->required()
      ->type_name("RESULT");
  verb->add_option("-o,--output", request.directory, "Folder for the files; replaced if there")
      ->type_name("DIR");
  verb->add_option("--format", request.formats,
                   "List of text, html, svg, pdf, png, csv, json, md, perfetto; by default text, "
                   "and with -o html and text")
      ->type_name("LIST");
  verb->add_flag("--strict", request.strict, "Status 3 when the data break one of the twelve rules")
      ->disable_flag_override();
  verb->footer(examples);
  return verb;
}

int carry_out_report(const Command& command, const std::vector<Workload>& /*workloads*/) {
  const ReportRequest& request = command.report;
  if (request.formats)
    static_cast<void>(formats_in(*request.formats)); // a wrong name is told before anything is read
  const Report report = report_on(request);
  const Wanted wanted = wanted_by(request, report.results);
  Maker maker(report, wanted.directory);
  if (wanted.directory.empty()) {
    say(maker.text_of(wanted.formats.front()));
  } else {
    make_directory(wanted.directory);
    for (const std::string& format : wanted.formats)
      maker.make(format);
    for (const fs::path& file : maker.written())
      say(file.string() + "\n");
  }
  return request.strict ? judge(report) : 0;
}

} // namespace cleave::app
