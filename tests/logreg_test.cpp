// The workload `logreg` and its kernel. Run under mpi_main.cpp at several numbers of ranks.
#include "cleave/pool.hpp"
#include "cleave/session.hpp"
#include "cleave/table.hpp"
#include "cleave/workload.hpp"
#include "job_run.hpp"
#include "jobs/logreg.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

namespace cleave::logreg {
namespace {

using cleave::testing::Given;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::filesystem::path folder() {
  const char* base = std::getenv("TMPDIR");
  std::filesystem::path path = std::filesystem::path(base != nullptr ? base : "/tmp") / "logreg";
  std::filesystem::create_directories(path);
  return path;
}

std::unique_ptr<Job> prepared(Pool& pool, const Given& given, AddGradient* kernel = add_gradient) {
  const Workload logreg = workload(kernel);
  return logreg.prepare(cleave::testing::values_of(logreg, given), pool);
}

Given digits(Given given) {
  given.insert({"input", CLEAVE_SOURCE_DIR "/data/digits.csv.gz"});
  return given;
}

template <class T>
T fact(const Job& job, const std::string& name) {
  for (const Fact& one : job.summary())
    if (one.name == name)
      return std::get<T>(one.value);
  ADD_FAILURE() << "no " << name;
  return {};
}

Model some_model() {
  Model model{.columns = 3, .classes = 2, .mean = {1, 2, 0}, .scale = {0.5, 2, 0}, .weights = {}};
  RandomStream random(1, 2, 3);
  for (std::size_t i = 0; i < model.weight_count(); ++i)
    model.weights.push_back(random.uniform() - 0.5);
  return model;
}

TEST(LogRegKernel, is_the_gradient_of_the_definition) {
  const std::vector<double> values{1, 2, 7, -3, 4, 8, 0.5, 0, 9};
  const std::vector<std::int32_t> labels{0, 1, 1};
  const std::vector<char> chosen{1, 0, 1};
  const Rows rows{values, labels, chosen};
  Model model = some_model();
  std::vector<double> sums(model.weight_count() + 2);
  add_gradient(model, rows, sums);
  const Plain plain = define(model, rows);
  EXPECT_NEAR(sums[sums.size() - 2], plain.loss, 1e-14);
  EXPECT_EQ(sums.back(), 2);
  EXPECT_EQ(plain.rows, 2);
  for (std::size_t i = 0; i < model.weight_count(); ++i) {
    const double weight = model.weights[i];
    model.weights[i] = weight + 1e-5;
    const double more = define(model, rows).loss;
    model.weights[i] = weight - 1e-5;
    EXPECT_NEAR(sums[i], (more - define(model, rows).loss) / 2e-5, 1e-8) << i;
    model.weights[i] = weight;
  }
  double right = 0;
  for (const std::size_t row : {0, 2})
    right += predict(model, std::span(values).subspan(3 * row, 3)) == labels[row] ? 1 : 0;
  EXPECT_EQ(plain.right, right);
}

TEST(LogRegKernel, does_not_overflow) {
  Model model = some_model();
  for (double& weight : model.weights)
    weight *= 1e5;
  const std::vector<double> values{100, -200, 0};
  const std::vector<std::int32_t> labels{0};
  const std::vector<char> chosen{1};
  std::vector<double> sums(model.weight_count() + 2);
  add_gradient(model, {values, labels, chosen}, sums);
  for (const double sum : sums)
    EXPECT_TRUE(std::isfinite(sum));
}

TEST(LogRegJob, reads_the_digits) {
  const Session session;
  for (const int threads : {1, 2}) {
    Pool pool(session, {.threads = threads});
    const auto job = prepared(pool, digits({}));
    job->run(pool);
    if (!pool.is_root())
      continue;
    EXPECT_EQ(job->check().verify, Verify::ok) << job->check().how;
    EXPECT_GE(fact<double>(*job, "accuracy"), 0.95);
    const auto confusion = fact<std::vector<std::int64_t>>(*job, "confusion");
    EXPECT_EQ(confusion.size(), 100U);
    EXPECT_EQ(std::accumulate(confusion.begin(), confusion.end(), std::int64_t{0}),
              fact<std::int64_t>(*job, "test_rows"));
    EXPECT_NEAR(static_cast<double>(fact<std::int64_t>(*job, "test_rows")), 0.2 * 1797, 60);
    const auto losses = fact<std::vector<double>>(*job, "losses");
    EXPECT_EQ(losses.size(), 101U);
    EXPECT_NEAR(losses.front(), std::log(10), 1e-12);
    EXPECT_TRUE(std::ranges::is_sorted(losses, std::greater<>()));
    EXPECT_EQ(job->details().size(), 110U);
  }
}

TEST(LogRegJob, learns_in_batches) {
  const Session session;
  Pool pool(session, {.threads = 1});
  const auto job = prepared(pool, digits({{"batches", "10"}, {"epochs", "15"}, {"rate", "0.3"}}));
  job->run(pool);
  if (!pool.is_root())
    return;
  EXPECT_EQ(job->check().verify, Verify::ok) << job->check().how;
  EXPECT_GE(fact<double>(*job, "accuracy"), 0.95);
}

TEST(LogRegJob, chooses_by_cross_validation) {
  const Session session;
  Pool pool(session, {.threads = 2});
  const auto job = prepared(
      pool, digits({{"epochs", "10"}, {"folds", "3"}, {"rate", "0.001,0.5"}, {"l2", "1e-3,10"}}));
  job->run(pool);
  if (!pool.is_root())
    return;
  EXPECT_EQ(job->check().verify, Verify::ok) << job->check().how;
  EXPECT_EQ(fact<double>(*job, "rate"), 0.5);
  EXPECT_EQ(fact<double>(*job, "l2"), 1e-3);
  const auto accuracies = fact<std::vector<double>>(*job, "cross_validated");
  EXPECT_EQ(accuracies.size(), 4U);
  EXPECT_EQ(*std::ranges::max_element(accuracies), accuracies[2]);
  EXPECT_GT(accuracies[2], 0.9);
}

TEST(LogRegJob, is_the_same_bytes_in_every_split) {
  const Session session;
  const Comm comm(session);
  if (!comm.is_root())
    return; // ranks are threads here
  const Given given = digits({{"epochs", "2"}, {"batches", "2"}, {"folds", "2"}, {"l2", "0,1"}});
  const auto one = cleave::testing::run_job(workload(add_gradient), given);
  EXPECT_EQ(one.verdict.verify, Verify::ok) << one.verdict.how;
  for (const auto& split : cleave::testing::splits())
    EXPECT_EQ(cleave::testing::run_job(workload(add_gradient), given, split).bytes, one.bytes);
}

TEST(LogRegJob, writes_weights_of_the_columns_as_they_are) {
  const Session session;
  Pool pool(session, {.threads = 1});
  const std::string input = folder() / "line.csv";
  const std::string output = folder() / "out.h5";
  if (pool.is_root()) {
    std::ofstream file(input);
    file << "kind,x\n";
    for (int i = 0; i < 200; ++i)
      file << (i < 100 ? 3 : 7) << "," << i << "\n";
  }
  pool.comm().barrier();
  const auto job = prepared(pool, {{"input", input}, {"label", "kind"}, {"output", output}});
  job->run(pool);
  if (pool.is_root())
    job->write_outputs();
  pool.comm().barrier();
  const auto read = [&](const std::string& dataset) {
    return read_table(pool.comm(), output, {dataset, ""},
                      [](const TableShape& shape, int) {
                        return TaskRange{0, shape.rows};
                      })
        .values;
  };
  const auto weights = read("weights");
  const auto intercepts = read("intercepts");
  EXPECT_THAT(read("classes"), ElementsAre(3, 7));
  EXPECT_EQ(weights.size(), 2U);
  const double border = (intercepts[0] - intercepts[1]) / (weights[1] - weights[0]);
  EXPECT_NEAR(border, 99.5, 3);
}

void without_intercepts(const Model& model, const Rows& rows, std::span<double> sums) {
  add_gradient(model, rows, sums);
  sums[static_cast<std::size_t>(model.columns * model.classes)] = 0;
}

void too_long(const Model& model, const Rows& rows, std::span<double> sums) {
  add_gradient(model, rows, sums);
  for (std::size_t i = 0; i < model.weight_count(); ++i)
    sums[i] *= 1.001;
}

void wrong_loss(const Model& model, const Rows& rows, std::span<double> sums) {
  add_gradient(model, rows, sums);
  sums[sums.size() - 2] *= 1 + 1e-8;
}

void does_nothing(const Model&, const Rows&, std::span<double>) {}

TEST(LogRegJob, a_broken_kernel_fails_its_check) {
  const Session session;
  Pool pool(session, {.threads = 1});
  for (AddGradient* broken : {without_intercepts, too_long, wrong_loss, does_nothing}) {
    const auto job = prepared(pool, digits({{"epochs", "3"}}), broken);
    if (pool.is_root()) {
      EXPECT_EQ(job->check().verify, Verify::failed) << "before any run";
    }
    job->run(pool);
    if (pool.is_root()) {
      EXPECT_EQ(job->check().verify, Verify::failed) << job->check().how;
    }
  }
  const auto wild = prepared(pool, digits({{"epochs", "5"}, {"rate", "100"}}));
  wild->run(pool);
  if (pool.is_root()) {
    EXPECT_THAT(wild->check().how, HasSubstr("rate is too large"));
  }
}

TEST(LogRegCheck, fails_on_anything_wrong) {
  const Answer right{.losses = {2, 1},
                     .confusion = {3, 1, 0, 4},
                     .weights = {1},
                     .monotone = true,
                     .plain_loss = 1,
                     .plain_right = 7,
                     .slope = 0.5,
                     .plain_slope = 0.5};
  EXPECT_EQ(check(right).verify, Verify::ok) << check(right).how;
  EXPECT_EQ(check({}).verify, Verify::failed);
  const auto wrong = [&](auto change) {
    Answer answer = right;
    change(answer);
    return check(answer).verify == Verify::failed;
  };
  EXPECT_TRUE(wrong([](Answer& a) { a.plain_loss = 1.001; }));
  EXPECT_TRUE(wrong([](Answer& a) { a.plain_right = 6; }));
  EXPECT_TRUE(wrong([](Answer& a) { a.plain_slope = 0.501; }));
  EXPECT_TRUE(wrong([](Answer& a) { a.slope = a.plain_slope = std::nan(""); }));
  EXPECT_TRUE(wrong([](Answer& a) { a.losses = {2, 2.1, 1}; }));
  EXPECT_TRUE(wrong([](Answer& a) { a.losses = {1, 1}; }));
}

} // namespace
} // namespace cleave::logreg
