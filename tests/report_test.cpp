// Reports of made-up results: what is told in which case, and how it is written.
#include "cleave/report.hpp"
#include "report/parts.hpp"
#include "report/wording.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <sstream>

namespace cleave {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

/// A point of `ranks` ranks, ten repetitions around `time_s`, all of the time busy.
Point made_point(int ranks, double time_s, int repetitions = 10) {
  Point point;
  point.key = {"ep", "hash", "guided", 1, ranks, 1};
  point.files = {"point-" + std::to_string(ranks) + ".h5"};
  point.parameters = {{"class", "A"}};
  point.workers = ranks;
  point.work = 100;
  point.work_unit = "pairs";
  point.sync_method = "common start";
  point.summary_method = "median";
  for (int i = 0; i < repetitions; ++i) {
    Sample sample;
    sample.wall_s = time_s * (1 + 0.001 * (i * 7 % 10));
    sample.start_utc_s = 100.0 * i + ranks;
    sample.verified = true;
    sample.phase_s[static_cast<std::size_t>(Phase::compute)] = sample.wall_s;
    point.samples.push_back(sample);
  }
  for (int rank = 0; rank < ranks; ++rank)
    point.loads.push_back(
        {rank, 0, "alpha", std::to_string(rank), {time_s}, {0, 0, time_s, 0, 0, 0}});
  return point;
}

Results made_results(std::vector<Point> points) {
  Results results;
  results.points = std::move(points);
  results.hosts = {"alpha"};
  for (const char* fact : {"cpu_model", "topology", "kernel", "compiler", "cxxflags", "mpi_version",
                           "git_commit", "build_id", "simd_target"})
    results.facts[fact] = "known";
  results.facts["git_dirty"] = "false";
  return results;
}

/// Perfect scaling at 1, 2 and 4 ranks.
Results perfect() {
  return made_results({made_point(1, 4), made_point(2, 2), made_point(4, 1)});
}

Report report_on(const Results& results) {
  return make_report(results, tabulate(results));
}

std::vector<std::string> advice_on(const Results& results, const StudyTable& table) {
  std::vector<std::string> texts;
  for (const Advice& advice : advise(results, table))
    texts.push_back(advice.text);
  return texts;
}
std::vector<std::string> advice_on(const Results& results) {
  return advice_on(results, tabulate(results));
}

/// Changes every sample of the last point.
template <class Change>
Results with_samples(Change change) {
  Results results = perfect();
  for (Sample& sample : results.points.back().samples)
    change(sample);
  return results;
}

std::vector<int> unmet(const Results& results, const StudyTable& table) {
  std::vector<int> numbers;
  for (const ReportRule& rule : rules_kept(results, table))
    if (!rule.unmet.empty())
      numbers.push_back(rule.number);
  return numbers;
}
std::vector<int> unmet(const Results& results) {
  return unmet(results, tabulate(results));
}

std::vector<std::string> figures_of(const Report& report) {
  std::vector<std::string> names;
  for (const Figure& figure : report.figures)
    names.push_back(figure.name);
  return names;
}

TEST(ReportWording, ShowsAsManyDigitsAsAnIntervalBears) {
  EXPECT_EQ(report::with_interval({12.3456, Interval{12.21, 12.49}}), "12.3 [12.2, 12.5]");
  EXPECT_EQ(report::with_interval({12.3456, Interval{12.34, 12.35}}), "12.35 [12.34, 12.35]");
  EXPECT_EQ(report::with_interval({137, Interval{105, 144}}), "137 [105, 144]");
  EXPECT_EQ(report::with_interval({1.5, {}}), "1.50");
  EXPECT_EQ(report::time_text({0.01234, Interval{0.0120, 0.0128}}), "12.3 ms [12.0, 12.8]");
  EXPECT_EQ(report::number(NAN), "-");
  EXPECT_EQ(report::number(0), "0");
  EXPECT_EQ(report::percent(0.384), "38 %");
}

TEST(ReportAdvice, HasNoneForAPerfectStudy) {
  EXPECT_TRUE(advice_on(perfect()).empty());
}

TEST(ReportAdvice, NamesImbalanceBetweenNodes) {
  Results results = with_samples([](Sample& s) { s.balance.between_nodes = 0.62; });
  results.points.back().key.schedule = "block";
  EXPECT_THAT(advice_on(results),
              Contains(AllOf(HasSubstr("38 % of 4 cores' time"), HasSubstr("between nodes"),
                             HasSubstr("try --schedule factoring"))));
}

TEST(ReportAdvice, NamesImbalanceWithinANode) {
  const auto advice = advice_on(with_samples([](Sample& s) { s.balance.in_nodes = 0.8; }));
  EXPECT_THAT(advice,
              Contains(AllOf(HasSubstr("20 % of 4 cores' time"),
                             HasSubstr("between ranks of a node"), HasSubstr("smaller chunks"))));
}

TEST(ReportAdvice, NamesUnequalThreads) {
  EXPECT_THAT(advice_on(with_samples([](Sample& s) { s.thread_balance = 0.7; })),
              Contains(HasSubstr("threads of a rank are up to 30 % unequally busy")));
}

TEST(ReportAdvice, NamesTheTimeOfMovingData) {
  const auto advice = advice_on(with_samples([](Sample& s) {
    s.phase_s[static_cast<std::size_t>(Phase::scatter)] = 0.3 * s.wall_s;
    s.balance.communication = 0.7;
  }));
  EXPECT_THAT(advice, Contains(HasSubstr("goes into scatter (30 %)")));
  EXPECT_THAT(advice, Not(Contains(HasSubstr("Even the busiest")))); // that explains it
}

TEST(ReportAdvice, NamesChunksThatAreTooShort) {
  EXPECT_THAT(advice_on(with_samples([](Sample& s) { s.balance.communication = 0.6; })),
              Contains(HasSubstr("computes for only 60 % of the time")));
}

TEST(ReportAdvice, NamesOversubscription) {
  Results results = perfect();
  results.points.back().oversubscribed = true;
  EXPECT_THAT(advice_on(results), Contains(HasSubstr("more workers than cores")));
}

TEST(ReportAdvice, NamesThePeak) {
  std::vector<Point> points;
  for (const int p : {1, 2, 4, 8, 16})
    points.push_back(made_point(p, 10.0 / p * (1 + 0.02 * (p - 1) + 0.01 * p * (p - 1))));
  EXPECT_THAT(advice_on(made_results(points)), Contains(HasSubstr("fewer than were tried")));
}

TEST(ReportAdvice, NamesWhereEfficiencyFalls) {
  const Results results = made_results({made_point(1, 4), made_point(2, 2.1), made_point(4, 2)});
  EXPECT_THAT(advice_on(results),
              Contains(HasSubstr("Efficiency falls to 50 % at 4 cores; 2 cores")));
}

TEST(ReportAdvice, ExplainsSuperlinearPoints) {
  Results results = made_results({made_point(1, 4), made_point(2, 1.5), made_point(4, 1)});
  EXPECT_THAT(advice_on(results), Contains(AllOf(HasSubstr("superlinear"), HasSubstr("cache"))));
  results.points[1].work = 50;
  EXPECT_THAT(advice_on(results), Contains(HasSubstr("its work differs from the base's: 50")));
}

TEST(ReportAdvice, AsksForMoreRepetitions) {
  const Results wide = with_samples([](Sample& s) { s.wall_s = s.wall_s > 1.004 ? 1.5 : 1.0; });
  EXPECT_THAT(advice_on(wide), Contains(HasSubstr("takes about")));
  const Results few = made_results({made_point(1, 4, 5), made_point(2, 2)});
  EXPECT_THAT(advice_on(few), Contains(HasSubstr("1 point has no interval")));
}

TEST(ReportAdvice, NamesDrift) {
  StudyTable table = tabulate(perfect());
  table.drift_p = 0.001;
  table.drift_percent = 3;
  EXPECT_THAT(advice_on(perfect(), table), Contains(HasSubstr("drifted by 3.0 %")));
  table.drift_percent = 0.1; // found, and too small to matter
  EXPECT_TRUE(advice_on(perfect(), table).empty());
}

TEST(ReportAdvice, NamesTheBestChoiceAndItsRivals) {
  std::vector<Point> points = {made_point(4, 1), made_point(4, 1.001), made_point(4, 2)};
  for (std::size_t i = 0; i < points.size(); ++i)
    points[i].key.schedule = std::array{"guided", "factoring", "block"}[i];
  EXPECT_THAT(advice_on(made_results(points)),
              Contains(AllOf(HasSubstr("guided has the least median"),
                             HasSubstr("undecided against factoring."))));
}

TEST(ReportRules, AreTwelveAndKeptByGoodData) {
  const auto rules = rules_kept(perfect(), tabulate(perfect()));
  ASSERT_EQ(rules.size(), 12U);
  for (std::size_t i = 0; i < rules.size(); ++i) {
    EXPECT_EQ(rules[i].number, static_cast<int>(i) + 1);
    EXPECT_TRUE(rules[i].unmet.empty()) << rules[i].number << rules[i].unmet.front();
  }
}

TEST(ReportRules, EachIsBrokenByItsData) {
  EXPECT_EQ(unmet(with_samples([](Sample& s) { s.verified = false; })), std::vector{1});
  EXPECT_EQ(unmet(made_results({made_point(1, 4, 5), made_point(2, 2)})), (std::vector{5, 7}));
  EXPECT_EQ(unmet(with_samples([](Sample& s) { s.barrier_skew_s = 0.1; })), std::vector{10});
  Results results = perfect();
  results.points.back().sync_method.clear();
  EXPECT_EQ(unmet(results), std::vector{10});
  results = perfect();
  results.facts["compiler"] = "unknown";
  EXPECT_EQ(unmet(results), std::vector{9});
  results = perfect();
  results.facts["git_dirty"] = "true";
  EXPECT_EQ(unmet(results), std::vector{9});
  StudyTable table = tabulate(perfect());
  table.missing.push_back({"ep", "", "guided", 1, 8, 1});
  EXPECT_EQ(unmet(perfect(), table), std::vector{2});
  table = tabulate(perfect());
  table.drift_p = 0.001;
  table.drift_percent = 5;
  EXPECT_EQ(unmet(perfect(), table), std::vector{7});
  table = tabulate(perfect());
  table.series.front().base.reset();
  EXPECT_EQ(unmet(perfect(), table), (std::vector{1, 11}));
}

TEST(ReportFigures, AreThoseThatTheDataHave) {
  EXPECT_THAT(figures_of(report_on(perfect())),
              ::testing::ElementsAre("time", "speed-up", "efficiency", "karp-flatt", "balance",
                                     "phases", "load", "repetitions"));
  const Report one = report_on(made_results({made_point(1, 4)}));
  EXPECT_THAT(figures_of(one), Not(Contains("speed-up")));
  EXPECT_THAT(one.notes, Contains(HasSubstr("takes two or more")));
}

TEST(ReportFigures, DrawTheTimeLineOfATrace) {
  const Results results = perfect();
  const PointTrace trace{
      2, 1, {{1, 0, 0, 0, 10, 0.0, 0.5}, {1, 0, 0, 10, 10, 0.5, 1.0}, {1, 3, 0, 20, 10, 0.0, 0.9}}};
  const Report report = make_report(results, tabulate(results), trace);
  const auto found = std::ranges::find(report.figures, "time-line", &Figure::name);
  ASSERT_NE(found, report.figures.end());
  EXPECT_EQ(found->y.ticks.size(), 2U); // two workers
  EXPECT_EQ(found->curves[0].marks.size() + found->curves[1].marks.size(), 3U);
}

TEST(ReportFigures, JoinChunksTooShortToSee) {
  const Results results = perfect();
  PointTrace trace{2, 0, {}};
  for (int i = 0; i < 100'000; ++i)
    trace.rows.push_back({0, 0, 0, i, 1, 1e-5 * i, 1e-5 * (i + 0.9)});
  const Report report = make_report(results, tabulate(results), trace);
  const auto found = std::ranges::find(report.figures, "time-line", &Figure::name);
  ASSERT_NE(found, report.figures.end());
  EXPECT_LT(found->curves[0].marks.size() + found->curves[1].marks.size(), 1000U);
  EXPECT_THAT(found->caption, HasSubstr("too short to be seen are joined"));
}

TEST(ReportFigures, EveryCaptionSaysHowItWasMeasured) {
  const Report report = report_on(perfect());
  for (const Figure& figure : report.figures)
    EXPECT_THAT(figure.caption,
                AllOf(HasSubstr("Base: 1 rank x 1 thread, 4.0"), HasSubstr("n = 10"),
                      HasSubstr("95 % order-statistic interval"), HasSubstr("common start"),
                      HasSubstr("median")))
        << figure.name;
}

TEST(ReportFigures, NameTheBusiestWorker) {
  Results results = perfect();
  results.points.back().loads[2] = {2, 1, "beta", "8-9", {1.5}, {}};
  const Report report = report_on(results);
  const auto load = std::ranges::find(report.figures, "load", &Figure::name);
  EXPECT_THAT(load->caption, HasSubstr("rank 2, thread 0, on beta, cores 8-9: 1.500 s"));
}

TEST(ReportFigures, GiveUnverifiedPointsNoSpeedUp) {
  const Report report = report_on(with_samples([](Sample& s) { s.verified = false; }));
  const auto time = std::ranges::find(report.figures, "time", &Figure::name);
  EXPECT_TRUE(time->curves.back().hollow);
  EXPECT_EQ(time->curves.back().marks.size(), 1U);
  const auto speedup = std::ranges::find(report.figures, "speed-up", &Figure::name);
  EXPECT_EQ(speedup->curves.back().marks.size(), 2U);
  EXPECT_THAT(report.notes, Contains(HasSubstr("shown without a speed-up")));
}

TEST(ReportScript, LetsNoTextBecomeACommand) {
  Figure figure = report_on(perfect()).figures.front();
  figure.x.label = "it's `date`\nsystem('date')";
  figure.curves.front().label = "@macro \"quoted\"";
  const std::string script = report::gnuplot_script(figure, Picture::svg);
  EXPECT_THAT(script, HasSubstr("'it''s \"date\" system(''date'')'"));
  EXPECT_THAT(script, Not(HasSubstr("`")));
}

TEST(ReportSvg, HasIdsOfItsOwnAndToolTips) {
  Figure figure = report_on(perfect()).figures.front();
  figure.curves.front().marks.front().tip = "<b>\"tip\"";
  const std::string svg = report::inline_svg(
      figure, "<?xml?><svg><title>Gnuplot</title><g id=\"gnuplot_canvas\"><circle id='gpDot'/>"
              "<use xlink:href='#gpDot'/><title>gnuplot_plot_1</title></g></svg>");
  EXPECT_THAT(svg, AllOf(HasSubstr("id='time-gpDot'"), HasSubstr("href='#time-gpDot'"),
                         HasSubstr("aria-label=\"&lt;b&gt;&quot;tip&quot;\""),
                         Not(HasSubstr("gnuplot_plot_1")), Not(HasSubstr("<?xml"))));
}

TEST(ReportText, FitsATerminal) {
  std::vector<Point> points;
  for (const int p : {1, 2, 4, 1024}) {
    points.push_back(made_point(p, 4096.789 / p));
    points.back().key.nodes = std::max(1, p / 64);
    points.back().oversubscribed = p > 2;
  }
  std::istringstream lines(as_text(report_on(made_results(points))));
  for (std::string line; std::getline(lines, line);) {
    const auto columns = std::ranges::count_if(
        line, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; });
    EXPECT_LE(columns, 100) << line;
  }
}

TEST(ReportText, SaysWhatThereIsNoIntervalFor) {
  const std::string text =
      as_text(report_on(made_results({made_point(1, 4, 5), made_point(2, 2)})));
  EXPECT_THAT(text, AllOf(HasSubstr("no interval at n=5"), HasSubstr("rule 5"), HasSubstr("●")));
}

TEST(ReportText, SaysThatAModelIsRejected) {
  const Results results =
      made_results({made_point(1, 4), made_point(2, 1.8), made_point(4, 0.8), made_point(8, 0.36)});
  EXPECT_THAT(as_text(report_on(results)), HasSubstr("model rejected"));
}

TEST(ReportCsv, HasARowAPoint) {
  Results results = perfect();
  results.points[1].key.workload = "a,\"b\"";
  results.points[0].key.workload = results.points[2].key.workload = results.points[1].key.workload;
  std::istringstream lines(as_csv(report_on(results)));
  std::string line;
  std::getline(lines, line);
  EXPECT_THAT(line, HasSubstr("time_s,time_s_lo,time_s_hi,speedup"));
  int rows = 0;
  for (; std::getline(lines, line); ++rows)
    EXPECT_THAT(line, HasSubstr("\"a,\"\"b\"\"\",all,guided"));
  EXPECT_EQ(rows, 3);
}

TEST(ReportJson, HasEverything) {
  const auto json = nlohmann::json::parse(as_json(report_on(perfect())));
  const auto& points = json.at("series").at(0).at("points");
  ASSERT_EQ(points.size(), 3U);
  EXPECT_TRUE(points[0].at("speedup").at("interval").is_null()); // the base is exact
  EXPECT_NEAR(points[2].at("speedup").at("value"), 4, 1e-9);
  EXPECT_EQ(points[2].at("samples").size(), 10U);
  EXPECT_EQ(points[2].at("loads").at(3).at("host"), "alpha");
  EXPECT_EQ(json.at("rules").size(), 12U);
  EXPECT_EQ(json.at("mode"), "strong");
}

TEST(ReportMarkdown, KeepsTextsOutOfItsTables) {
  Results results = perfect();
  results.facts["compiler"] = "a|b<script>\nc";
  EXPECT_THAT(as_markdown(report_on(results)), HasSubstr("| a\\|b&lt;script> c |"));
}

TEST(ReportPage, EscapesEveryText) {
  Results results = perfect();
  const std::string bad = "<script>alert(1)</script>";
  for (Point& point : results.points) {
    point.key.workload = point.sync_method = bad;
    for (RankLoad& load : point.loads)
      load.host = bad;
  }
  results.hosts = {bad};
  results.facts["cpu_model"] = bad;
  const std::string page = as_page(report_on(results), {});
  EXPECT_THAT(page, AllOf(Not(HasSubstr("<script>alert")), HasSubstr("&lt;script&gt;alert(1)"),
                          HasSubstr("gnuplot was not found")));
}

TEST(ReportPerfetto, HasChunksOrPhases) {
  const Results results = perfect();
  const PointTrace trace{2, 0, {{0, 3, 0, 7, 5, 0.25, 0.75}}};
  auto events = nlohmann::json::parse(perfetto_trace(results, 2, trace)).at("traceEvents");
  const auto& chunk = events.back();
  EXPECT_EQ(chunk.at("name"), "tasks 7 to 11");
  EXPECT_EQ(chunk.at("ph"), "X");
  EXPECT_NEAR(chunk.at("ts"), 250'000, 1e-6);
  EXPECT_NEAR(chunk.at("dur"), 500'000, 1e-6);
  events = nlohmann::json::parse(perfetto_trace(results, 2, {})).at("traceEvents");
  EXPECT_EQ(events.back().at("name"), "compute");
  EXPECT_EQ(events.front().at("args").at("name"), "node 0: alpha");
}

TEST(ReportGnuplot, DrawsWhereThereIsOne) {
  const Gnuplot gnuplot;
  const Figure figure = report_on(perfect()).figures.front();
  if (!gnuplot.present())
    GTEST_SKIP() << "no gnuplot";
  EXPECT_THAT(gnuplot.draw(figure, Picture::svg), HasSubstr("</svg>"));
  EXPECT_THAT(gnuplot.draw(figure, Picture::pdf).substr(0, 5), "%PDF-");
  EXPECT_THAT(gnuplot.draw(figure, Picture::png).substr(1, 3), "PNG");
}

} // namespace
} // namespace cleave
