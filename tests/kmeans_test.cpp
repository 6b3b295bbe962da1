// The workload `kmeans` and its kernel. Run under mpi_main.cpp at several numbers of ranks.
#include "cleave/pool.hpp"
#include "cleave/session.hpp"
#include "cleave/simd.hpp"
#include "cleave/table.hpp"
#include "cleave/workload.hpp"
#include "job_run.hpp"
#include "jobs/kmeans.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace cleave::kmeans {
namespace {

using cleave::testing::Given;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::filesystem::path folder() {
  const char* base = std::getenv("TMPDIR");
  std::filesystem::path path = std::filesystem::path(base != nullptr ? base : "/tmp") / "kmeans";
  std::filesystem::create_directories(path);
  return path;
}

/// Root writes a file that all then read.
std::string written(const Pool& pool, const std::string& name, const std::string& text) {
  const std::string file = folder() / name;
  if (pool.is_root())
    std::ofstream(file) << text;
  pool.comm().barrier();
  return file;
}

std::unique_ptr<Job> prepared(Pool& pool, const Given& given, Assign* kernel = assign) {
  const Workload kmeans = workload(kernel);
  return kmeans.prepare(cleave::testing::values_of(kmeans, given), pool);
}

Given digits(Given given) {
  given.insert({{"input", CLEAVE_SOURCE_DIR "/data/digits.csv.gz"}, {"drop_columns", "64"}});
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

std::vector<double> numbers(std::size_t count, double offset) {
  std::vector<double> values;
  RandomStream random(1, 2, 3);
  while (values.size() < count)
    values.push_back(offset + random.uniform() - 0.5);
  return values;
}

/// What assign() does, by the definition.
std::vector<std::int32_t> nearest(const std::vector<double>& rows,
                                  const std::vector<double>& centroids, std::size_t columns) {
  std::vector<std::int32_t> labels;
  for (std::size_t row = 0; row < rows.size() / columns; ++row) {
    std::vector<double> squares;
    for (std::size_t c = 0; c < centroids.size() / columns; ++c) {
      double& square = squares.emplace_back();
      for (std::size_t j = 0; j < columns; ++j)
        square += std::pow(rows[row * columns + j] - centroids[c * columns + j], 2);
    }
    labels.push_back(
        static_cast<std::int32_t>(std::ranges::min_element(squares) - squares.begin()));
  }
  return labels;
}

TEST(KMeansKernel, agrees_with_the_definition_on_every_instruction_set) {
  for (const std::string& target : simd_targets())
    for (const std::size_t k : {1, 2, 3, 4, 5, 8, 9, 16, 17, 33})
      for (const std::size_t columns : {1, 2, 7, 8, 9, 64})
        for (const std::size_t rows : {0, 1, 5, 6, 7, 12, 13, 100}) {
          limit_target(target);
          SCOPED_TRACE(::testing::Message()
                       << target << ": " << k << " clusters, " << rows << " rows of " << columns);
          const auto x = numbers(rows * columns, 1e6);
          const auto c = numbers(k * columns, 1e6);
          const auto right = nearest(x, c, columns);
          std::vector<std::int32_t> labels(rows, -1);
          std::vector<double> sums(
              Tally::size_of(static_cast<std::int64_t>(k), static_cast<std::int64_t>(columns)));
          const Tally tally{static_cast<std::int64_t>(k), static_cast<std::int64_t>(columns), sums};
          assign(Centroids(c, tally.columns), x, labels, tally);
          EXPECT_EQ(labels, right);
          EXPECT_EQ(tally.changed(), static_cast<double>(rows));
          double inertia = 0;
          for (std::size_t row = 0; row < rows; ++row) {
            const auto label = static_cast<std::size_t>(labels[row]);
            tally.size(labels[row]) -= 1;
            for (std::size_t j = 0; j < columns; ++j) {
              inertia += std::pow(x[row * columns + j] - c[label * columns + j], 2);
              tally.sum(labels[row])[j] -= x[row * columns + j];
            }
          }
          EXPECT_NEAR(tally.inertia(), inertia, 1e-9 * inertia);
          tally.inertia() = tally.changed() = 0;
          EXPECT_LT(std::abs(*std::ranges::max_element(sums, {},
                                                       [](double sum) { return std::abs(sum); })),
                    1e-6);
        }
  limit_target({});
}

TEST(KMeansKernel, gives_ties_to_the_lowest_centroid) {
  const std::vector<double> c{4, 0, -2, 0, 4, 0, 1, 3, 1, 3}; // |(1,0) - c| = 3 for all
  for (const std::string& target : simd_targets()) {
    limit_target(target);
    std::vector<std::int32_t> labels(9, -1);
    std::vector<double> rows;
    for (int row = 0; row < 9; ++row)
      rows.insert(rows.end(), {1, 0});
    std::vector<double> sums(Tally::size_of(5, 2));
    assign(Centroids(c, 2), rows, labels, {5, 2, sums});
    EXPECT_THAT(labels, Each(0)) << target;
  }
  limit_target({});
}

TEST(KMeansKernel, has_the_same_bits_with_every_fused_instruction_set) {
  std::vector<std::vector<double>> all;
  for (const std::string& target : simd_targets()) {
    if (!target.starts_with("AVX"))
      continue;
    limit_target(target);
    const auto x = numbers(1000 * 19, 3);
    const Centroids c(numbers(21 * 19, 3), 19);
    std::vector<std::int32_t> labels(1000, -1);
    auto& sums = all.emplace_back(Tally::size_of(21, 19));
    assign(c, x, labels, {21, 19, sums});
    EXPECT_EQ(sums, all.front()) << target;
  }
  limit_target({});
}

TEST(KMeansJob, clusters_the_digits_as_known) {
  const Session session;
  for (const int threads : {1, 2}) {
    Pool pool(session, {.threads = threads});
    const auto ten = prepared(pool, digits({{"k", "10"}}));
    ten->run(pool);
    ten->run(pool);
    const auto sixteen = prepared(pool, digits({{"k", "16"}}));
    sixteen->run(pool);
    if (!pool.is_root())
      continue;
    EXPECT_EQ(ten->check().verify, Verify::ok) << ten->check().how;
    EXPECT_NEAR(fact<double>(*ten, "inertia"), 1167859.3840066, 1167859 * 1e-12 + 5e-8);
    EXPECT_EQ(fact<std::int64_t>(*ten, "iterations"), 14);
    EXPECT_EQ(fact<std::string>(*ten, "converged"), "yes");
    EXPECT_THAT(fact<std::vector<std::int64_t>>(*ten, "sizes"),
                ElementsAre(179, 120, 89, 178, 163, 370, 181, 199, 164, 154));
    EXPECT_NEAR(fact<double>(*sixteen, "inertia"), 1036026.4505729, 1036026 * 1e-12 + 5e-8);
    EXPECT_EQ(ten->details().size(), 14U);
    EXPECT_THAT(ten->details().front(), HasSubstr("iteration 1: inertia 2220380"));
  }
}

TEST(KMeansJob, is_the_same_bytes_in_every_split) {
  const Session session;
  const Comm comm(session);
  if (!comm.is_root())
    return; // ranks are threads here
  for (const Given& given : {Given{{"k", "10"}}, Given{{"k", "7"}, {"init", "kmeans++"}}}) {
    const auto one = cleave::testing::run_job(workload(assign), digits(given));
    EXPECT_EQ(one.verdict.verify, Verify::ok) << one.verdict.how;
    EXPECT_EQ(one.tasks, 1797);
    EXPECT_EQ(one.leaves, 4);
    for (const auto& split : cleave::testing::splits())
      EXPECT_EQ(cleave::testing::run_job(workload(assign), digits(given), split).bytes, one.bytes);
  }
}

TEST(KMeansJob, ends_by_iterations_or_tolerance) {
  const Session session;
  Pool pool(session, {.threads = 1});
  const auto three = prepared(pool, digits({{"k", "10"}, {"max_iterations", "3"}}));
  three->run(pool);
  // From pass 7 to 8 the inertia falls by 1.05 %, from 8 to 9 by 0.2 %.
  const auto tolerant = prepared(pool, digits({{"k", "10"}, {"tolerance", "0.005"}}));
  tolerant->run(pool);
  if (!pool.is_root())
    return;
  EXPECT_EQ(three->check().verify, Verify::ok) << three->check().how;
  EXPECT_EQ(fact<std::int64_t>(*three, "iterations"), 3);
  EXPECT_EQ(fact<std::string>(*three, "converged"), "no");
  EXPECT_NEAR(fact<double>(*three, "inertia"), 1280664.2250875, 1);
  EXPECT_EQ(fact<std::int64_t>(*tolerant, "iterations"), 9);
  EXPECT_EQ(tolerant->check().verify, Verify::ok) << tolerant->check().how;
}

TEST(KMeansJob, kmeans_plus_plus_begins_better_and_obeys_its_seed) {
  const Session session;
  Pool pool(session, {.threads = 1});
  std::vector<double> inertias;
  for (const char* seed : {"1", "2", "1"}) {
    const auto job = prepared(
        pool, digits({{"k", "10"}, {"init", "kmeans++"}, {"seed", seed}, {"max_iterations", "1"}}));
    job->run(pool);
    if (pool.is_root())
      inertias.push_back(fact<double>(*job, "inertia"));
  }
  if (!pool.is_root())
    return;
  EXPECT_EQ(inertias[0], inertias[2]);
  EXPECT_NE(inertias[0], inertias[1]);
  EXPECT_THAT(inertias, Each(::testing::Lt(2.6e6)));
}

// Twice the same first rows: one of these clusters gets no row and moves to the farthest one.
TEST(KMeansJob, an_empty_cluster_moves_to_the_farthest_row) {
  const Session session;
  Pool pool(session, {.threads = 2});
  const std::string file = written(pool, "empty.csv", "0,0\n0,0\n1,0\n9,9\n100,100\n");
  for (const char* k : {"2", "3", "4", "5"}) {
    const auto job = prepared(pool, {{"input", file}, {"k", k}});
    job->run(pool);
    if (!pool.is_root())
      continue;
    EXPECT_EQ(job->check().verify, Verify::ok) << job->check().how;
    EXPECT_EQ(fact<std::string>(*job, "converged"), "yes");
    const auto sizes = fact<std::vector<std::int64_t>>(*job, "sizes");
    if (*k == '2') {
      EXPECT_THAT(sizes, ElementsAre(4, 1));
      EXPECT_THAT(job->details().front(), HasSubstr("1 empty clusters moved"));
    }
    if (*k == '5') { // four different rows: one cluster stays empty
      EXPECT_EQ(fact<double>(*job, "inertia"), 0);
      EXPECT_EQ(std::ranges::count(sizes, 0), 1);
    }
  }
  const auto job = prepared(pool, {{"input", file}, {"k", "5"}, {"init", "kmeans++"}});
  job->run(pool);
  if (pool.is_root()) {
    EXPECT_EQ(job->check().verify, Verify::ok) << job->check().how;
    EXPECT_EQ(fact<double>(*job, "inertia"), 0);
  }
}

TEST(KMeansJob, writes_labels_and_centroids) {
  const Session session;
  Pool pool(session, {.threads = 1});
  const std::string file = folder() / "out.h5";
  const auto job = prepared(pool, digits({{"k", "3"}, {"output", file}}));
  job->run(pool);
  if (pool.is_root())
    job->write_outputs();
  pool.comm().barrier();
  const auto read = [&](const std::string& dataset) {
    return read_table(pool.comm(), file, {dataset, ""}, [](const TableShape& shape, int) {
      return TaskRange{0, shape.rows};
    });
  };
  const Table labels = read("labels");
  const Table centroids = read("centroids");
  EXPECT_EQ(centroids.shape.rows, 3);
  EXPECT_EQ(centroids.shape.columns, 64);
  EXPECT_EQ(labels.shape.rows, 1797);
  if (!pool.is_root())
    return;
  const auto sizes = fact<std::vector<std::int64_t>>(*job, "sizes");
  for (std::int32_t c = 0; c < 3; ++c)
    EXPECT_EQ(std::ranges::count(labels.values, c), sizes[static_cast<std::size_t>(c)]);
}

void mislabels(const Centroids& centroids, std::span<const double> rows,
               std::span<std::int32_t> labels, const Tally& tally) {
  assign(centroids, rows, labels, tally);
  for (std::size_t row = 0; row < labels.size(); row += 5)
    labels[row] = static_cast<std::int32_t>((labels[row] + 1) % centroids.count());
}

void forgets_rows(const Centroids& centroids, std::span<const double> rows,
                  std::span<std::int32_t> labels, const Tally& tally) {
  assign(centroids, rows, labels, tally);
  for (std::int64_t c = 0; c < centroids.count(); ++c)
    tally.sum(c)[20] *= 0.999;
}

void miscounts(const Centroids& centroids, std::span<const double> rows,
               std::span<std::int32_t> labels, const Tally& tally) {
  assign(centroids, rows, labels, tally);
  tally.inertia() *= 1 + 1e-10;
}

void does_nothing(const Centroids&, std::span<const double>, std::span<std::int32_t> labels,
                  const Tally& tally) {
  std::ranges::fill(labels, 0);
  tally.size(0) += static_cast<double>(labels.size());
}

TEST(KMeansJob, a_broken_kernel_fails_its_check) {
  const Session session;
  Pool pool(session, {.threads = 1});
  for (Assign* broken : {mislabels, forgets_rows, miscounts, does_nothing}) {
    const auto job = prepared(pool, digits({{"k", "10"}, {"max_iterations", "50"}}), broken);
    if (pool.is_root()) {
      EXPECT_EQ(job->check().verify, Verify::failed) << "before any run";
    }
    job->run(pool);
    if (pool.is_root()) {
      EXPECT_EQ(job->check().verify, Verify::failed) << job->check().how;
    }
  }
}

TEST(KMeansCheck, fails_on_anything_wrong) {
  Answer right{.rows = 3,
               .columns = 1,
               .clusters = 2,
               .centroids = {1, 10},
               .labels = {0, 0, 1},
               .passes = {{5, 3, 0}, {2, 0, 0}},
               .converged = true,
               .plain = {2, 10, 2, 1, 2, 0},
               .sample = {0, 1, 2},
               .sample_rows = {0, 2, 10}};
  EXPECT_EQ(check(right).verify, Verify::ok) << check(right).how;
  EXPECT_EQ(check({}).verify, Verify::failed);
  const auto wrong = [&](auto change) {
    Answer answer = right;
    change(answer);
    return check(answer).verify == Verify::failed;
  };
  EXPECT_TRUE(wrong([](Answer& a) { a.labels = {0, 1, 1}; }));
  EXPECT_TRUE(wrong([](Answer& a) { a.labels[0] = -1; }));
  EXPECT_TRUE(wrong([](Answer& a) { a.labels[0] = 2; }));
  EXPECT_TRUE(wrong([](Answer& a) { a.labels.pop_back(); }));
  EXPECT_TRUE(wrong([](Answer& a) { a.centroids = {1, 10.001}; }));
  EXPECT_TRUE(wrong([](Answer& a) { a.centroids.clear(); }));
  EXPECT_TRUE(wrong([](Answer& a) { a.passes[0].inertia = 1.9; }));
  EXPECT_TRUE(wrong([](Answer& a) { a.passes[1].inertia = 2.1; }));
  EXPECT_TRUE(wrong([](Answer& a) {
    a.passes[1].inertia = a.plain[4] = std::numeric_limits<double>::quiet_NaN();
  }));
  EXPECT_TRUE(wrong([](Answer& a) { a.sample_rows = {0, 9, 10}; }));
}

TEST(KMeansJob, refuses_what_it_cannot_do) {
  const Session session;
  Pool pool(session, {.threads = 1});
  const std::string file = written(pool, "small.csv", "1,2\n3,4\n5,6\n");
  const std::string bad = written(pool, "bad.csv", "1,2\n3,nan\n");
  const std::vector<std::pair<Given, std::string>> cases{
      {{{"input", file}, {"k", "4"}}, "k: must be at most the number of rows, 3, not 4"},
      {{{"input", file}, {"k", "0"}}, "k: must be 1 to 1e6, not 0"},
      {{{"input", file}}, "k: missing"},
      {{{"k", "2"}}, "input: missing"},
      {{{"input", bad}, {"k", "2"}}, "bad.csv:2: "},
      {{{"input", file}, {"k", "2"}, {"init", "last"}}, "init: must be one of first, kmeans++"},
      {{{"input", file}, {"k", "2"}, {"output", "out.txt"}}, "output: out.txt must end in .h5"},
      {{{"input", file}, {"k", "2"}, {"drop_columns", "0,1"}}, "no column of"},
      {{{"input", folder() / "nosuch.csv"}, {"k", "2"}}, "there is no such file"}};
  for (const auto& [given, message] : cases)
    try {
      static_cast<void>(prepared(pool, given));
      ADD_FAILURE() << "not refused: " << message;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input);
      EXPECT_THAT(error.what(), HasSubstr(message));
    }
}

} // namespace
} // namespace cleave::kmeans
