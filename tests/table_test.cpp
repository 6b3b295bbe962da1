// Tables of numbers. Run under mpi_main.cpp at several numbers of ranks.
#include "cleave/data.hpp"
#include "cleave/error.hpp"
#include "cleave/session.hpp"
#include "cleave/table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <span>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace cleave {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;

std::filesystem::path folder() {
  const char* base = std::getenv("TMPDIR");
  std::filesystem::path path = std::filesystem::path(base != nullptr ? base : "/tmp") / "table";
  std::filesystem::create_directories(path);
  return path;
}

/// Root writes a file that all then read.
std::string written(const Comm& comm, const std::string& name, const std::string& text) {
  const std::string file = folder() / name;
  if (comm.is_root())
    std::ofstream(file, std::ios::binary) << text;
  comm.barrier();
  return file;
}

/// The same, packed.
std::string packed(const Comm& comm, const std::string& name, const std::string& text) {
  const std::string file = written(comm, name, text);
  if (comm.is_root()) {
    EXPECT_EQ(std::system(("gzip --force --keep " + file).c_str()), 0);
  }
  comm.barrier();
  return file + ".gz";
}

TaskRange even(const Comm& comm, const TableShape& shape, int rank) {
  return block_range(shape.rows, comm.size(), rank);
}

/// The last rank first: rows need not lie where the file has them.
TaskRange backwards(const Comm& comm, const TableShape& shape, int rank) {
  return block_range(shape.rows, comm.size(), comm.size() - 1 - rank);
}

Table read(const Comm& comm, const std::string& file, const TableOptions& options = {},
           bool turned = false) {
  return read_table(comm, file, options, [&](const TableShape& shape, int rank) {
    return turned ? backwards(comm, shape, rank) : even(comm, shape, rank);
  });
}

/// All rows on every rank.
std::vector<double> all_values(const Comm& comm, const Table& table) {
  std::vector<double> all(static_cast<std::size_t>(table.shape.rows * table.shape.columns));
  EXPECT_EQ(std::ssize(table.values), table.own.size() * table.shape.columns);
  const auto owns = comm.all_gather(table.own);
  const auto blobs = comm.all_gather_blobs(std::as_bytes(std::span(table.values)));
  for (std::size_t rank = 0; rank < owns.size(); ++rank)
    if (!blobs[rank].empty())
      std::memcpy(&all[static_cast<std::size_t>(owns[rank].first * table.shape.columns)],
                  blobs[rank].data(), blobs[rank].size());
  return all;
}

TEST(Table, reads_what_a_csv_may_look_like) {
  const Session session;
  const Comm comm(session);
  const std::vector<double> right{1, -2.5, 3e2, 4};
  for (const std::string text : {"1,-2.5\n3e2,4\n", "1,-2.5\n3e2,4", "1,-2.5\r\n300,4\r\n",
                                 "\xEF\xBB\xBF"
                                 "1,-2.5\n300,4\n",
                                 "a,b\n1,-2.5\n300,4\n",
                                 "\xEF\xBB\xBF"
                                 "a,b\n1,-2.5\n300,4",
                                 "\n\n  \n1,-2.5\n\n300,4\n \n\n", " 1 ,\t-2.5 \n+300,\"4\"\n",
                                 "\"a, b\",\"c \"\"d\"\"\"\n1,-2.5\n3.e2,4\n"})
    for (const bool turned : {false, true}) {
      SCOPED_TRACE(text);
      const Table table = read(comm, written(comm, "form.csv", text), {}, turned);
      EXPECT_EQ(table.shape.rows, 2);
      EXPECT_EQ(table.shape.columns, 2);
      EXPECT_THAT(all_values(comm, table), ElementsAreArray(right));
      const Table again = read(comm, packed(comm, "form.csv", text), {}, turned);
      EXPECT_THAT(all_values(comm, again), ElementsAreArray(right));
      EXPECT_EQ(again.shape.names, table.shape.names);
    }
  const Table table =
      read(comm, written(comm, "form.csv", "\"a, b\",\"c \"\"d\"\"\"\n1,-2.5\n3.e2,4\n"));
  EXPECT_THAT(table.shape.names, ElementsAre("a, b", "c \"d\""));
  EXPECT_THAT(read(comm, written(comm, "one.csv", "7")).shape.names, IsEmpty());
}

// Lines of very different lengths, so that shares of bytes and of rows differ.
TEST(Table, gives_each_rank_its_rows) {
  const Session session;
  const Comm comm(session);
  std::string text = "number,root,power\n";
  std::vector<double> right;
  for (int i = 0; i < 4001; ++i) {
    const double row[] = {static_cast<double>(i), std::sqrt(i), std::pow(1.1, i % 700)};
    right.insert(right.end(), row, row + 3);
    char line[400];
    std::snprintf(line, sizeof line, i < 2000 ? "%g,%.17g,%.17g\n" : "%g,%.17g,%.100e\n\n", row[0],
                  row[1], row[2]);
    text += line;
  }
  std::vector<std::string> files{written(comm, "rows.csv", text), packed(comm, "rows.csv", text),
                                 folder() / "rows.h5", std::string(folder() / "rows.h5") + ":/x"};
  if (comm.is_root())
    write_arrays(folder() / "rows.h5",
                 {{"x", {4001, 3}, right}, {"labels", {2}, std::vector<std::int32_t>{1, 2}}});
  comm.barrier();
  for (const std::string& file : files)
    for (const bool turned : {false, true}) {
      SCOPED_TRACE(file);
      const Table table = read(comm, file, {}, turned);
      EXPECT_EQ(table.shape.rows, 4001);
      EXPECT_EQ(table.own, turned ? backwards(comm, table.shape, comm.rank())
                                  : even(comm, table.shape, comm.rank()));
      EXPECT_EQ(all_values(comm, table), right);
    }
}

TEST(Table, drops_columns_by_number_or_name) {
  const Session session;
  const Comm comm(session);
  const std::string text = "x,y,kind\n1,2,a\n3,4,\"b,c\"\n";
  const std::vector<std::pair<std::string, std::vector<double>>> cases{{"kind", {1, 2, 3, 4}},
                                                                       {"2", {1, 2, 3, 4}},
                                                                       {"-1", {1, 2, 3, 4}},
                                                                       {"kind, x", {2, 4}},
                                                                       {"-1,-1,kind,1", {1, 3}}};
  for (const auto& [drop, right] : cases) {
    SCOPED_TRACE(drop);
    EXPECT_EQ(all_values(comm, read(comm, written(comm, "d.csv", text), {"", drop})), right);
    EXPECT_EQ(all_values(comm, read(comm, packed(comm, "d.csv", text), {"", drop})), right);
  }
  const Table table = read(comm, written(comm, "d.csv", text), {"", "y,kind"});
  EXPECT_THAT(table.shape.names, ElementsAre("x"));
  const std::string file = folder() / "d.h5";
  if (comm.is_root())
    write_arrays(file, {{"x", {2, 3}, std::vector<double>{1, 2, 3, 4, 5, 6}},
                        {"y", {2, 1}, std::vector<std::int32_t>{7, 8}}});
  comm.barrier();
  EXPECT_THAT(all_values(comm, read(comm, file, {"/x", "1"})), ElementsAre(1, 3, 4, 6));
  EXPECT_THAT(all_values(comm, read(comm, file, {"y", ""})), ElementsAre(7, 8));
}

TEST(Table, reads_the_digits) {
  const Session session;
  const Comm comm(session);
  const Table table = read(comm, CLEAVE_SOURCE_DIR "/data/digits.csv.gz");
  EXPECT_EQ(table.shape.rows, 1797);
  EXPECT_EQ(table.shape.columns, 65);
  const auto all = all_values(comm, table);
  EXPECT_EQ(std::accumulate(all.begin(), all.end(), 0.0), 569788);
}

/// What reading tells on this rank.
std::string refusal(const Comm& comm, const std::string& file, const TableOptions& options = {}) {
  try {
    static_cast<void>(read(comm, file, options));
  } catch (const Error& error) {
    return error.kind() == ErrorKind::bad_input ? error.what() : "of another kind";
  }
  return "none";
}

TEST(Table, refuses_on_every_rank_and_says_where) {
  const Session session;
  const Comm comm(session);
  std::string late = "a,b\n";
  for (int i = 0; i < 1000; ++i)
    late += i == 900 ? "3,x\n" : i == 950 ? "3\n" : "1,2\n\n";
  const std::vector<std::tuple<std::string, std::string, std::string>> cases{
      {"", "", "is empty"},
      {"\n \n", "", "blank lines alone"},
      {"a,b\n", "", "no rows below its header"},
      {"1,2\n3\n", "", ":2: has 1 columns where the first line has 2"},
      {"1,2\n\n3,4,5\n", "", ":3: has 3 columns where the first line has 2"},
      {"1,2\n3,x\n", "",
       ":2: column 1 (from 0), \"x\", is not a number; mend the cell, or leave "
       "the column out by drop_columns=1"},
      {"p,q\n1,2\n3,4 5\n", "", ":3: column 1 (from 0, \"q\"), \"4 5\", is not a number"},
      {"1,2\nnan,4\n", "", ":2: column 0 (from 0), \"nan\", is not a finite number"},
      {"1,2\n3,-inf\n", "", ":2: column 1 (from 0), \"-inf\", is not a finite number"},
      {"1,2\n3,1e999\n", "", ":2: column 1 (from 0), \"1e999\", is not a finite number"},
      {"1,2\n,4\n", "", ":2: column 0 (from 0) is empty"},
      {"1,2\n3,\n", "", ":2: column 1 (from 0) is empty"},
      {"1,x\n3,4\n", "", ":1: column 1 (from 0), \"x\", is not a number"},
      {"1,2\n3,0x10\n", "", "\"0x10\", is not a number"},
      {"1,2\n3,4\n", "2", "drop_columns: there is no column \"2\" in "},
      {"1,2\n3,4\n", "-3", "its columns are 0 to 1, without names"},
      {"x,y\n3,4\n", "z", "there is no column \"z\""},
      {"x,y\n3,4\n", "x,y", "no column of"},
      {late, "", ":1802: column 1 (from 0, \"b\"), \"x\", is not a number"}};
  for (const auto& [text, drop, message] : cases) {
    SCOPED_TRACE(text.substr(0, 40));
    EXPECT_THAT(refusal(comm, written(comm, "bad.csv", text), {"", drop}), HasSubstr(message));
    if (!text.empty()) {
      EXPECT_THAT(refusal(comm, packed(comm, "bad.csv", text), {"", drop}), HasSubstr(message));
    }
  }
  EXPECT_THAT(refusal(comm, folder() / "nosuch.csv"), HasSubstr("there is no such file"));
  EXPECT_THAT(refusal(comm, folder()), HasSubstr("is a directory"));
  EXPECT_THAT(refusal(comm, written(comm, "plain.csv.gz", "1,2\n")), HasSubstr("not packed"));
}

TEST(Table, refuses_damaged_and_unfit_files) {
  const Session session;
  const Comm comm(session);
  std::string text;
  for (int i = 0; i < 20'000; ++i)
    text += std::to_string(i * 7919 % 10'007) + "," + std::to_string(i) + "\n";
  const std::string whole = packed(comm, "whole.csv", text);
  std::string bytes;
  if (comm.is_root()) {
    std::ostringstream read_bytes;
    read_bytes << std::ifstream(whole, std::ios::binary).rdbuf();
    bytes = read_bytes.str();
  }
  EXPECT_THAT(refusal(comm, written(comm, "cut.csv.gz", bytes.substr(0, bytes.size() / 2))),
              HasSubstr("cannot be unpacked"));
  if (comm.is_root())
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x55);
  EXPECT_THAT(refusal(comm, written(comm, "hurt.csv.gz", bytes)), HasSubstr("cannot be unpacked"));

  EXPECT_THAT(refusal(comm, written(comm, "text.h5", "1,2\n")), HasSubstr("no HDF5 file"));
  const std::string file = folder() / "bad.h5";
  if (comm.is_root())
    write_arrays(file, {{"a", {2, 2}, std::vector<double>{1, 2, 3, 4}},
                        {"b", {1, 2}, std::vector<double>{1, 2}},
                        {"c", {1, 1, 2}, std::vector<double>{1, 2}},
                        {"none", {0, 2}, std::vector<double>{}},
                        {"nan", {2, 2}, std::vector<double>{1, 2, 3, std::nan("")}}});
  comm.barrier();
  EXPECT_THAT(refusal(comm, file), HasSubstr("name the dataset to read, as FILE.h5:/PATH"));
  EXPECT_THAT(refusal(comm, file), HasSubstr("/a, /b"));
  EXPECT_THAT(refusal(comm, file + ":/d"), HasSubstr("has no dataset \"/d\""));
  EXPECT_THAT(refusal(comm, file + ":/c"), HasSubstr("is no table of numbers"));
  EXPECT_THAT(refusal(comm, file + ":/none"), HasSubstr("has no rows"));
  EXPECT_THAT(refusal(comm, file + ":/nan"), HasSubstr("row 1 (from 0), column 1 (from 0)"));
  EXPECT_THAT(refusal(comm, file + ":/nan", {"", "0"}), HasSubstr("column 1 (from 0)"));
  EXPECT_EQ(refusal(comm, file + ":/nan", {"", "1"}), "none");
}

TEST(Table, ranks_that_are_threads_read_as_well) {
  const Session session;
  const Comm comm(session);
  const std::string file = folder() / "threads.h5";
  std::vector<double> right(1000);
  std::iota(right.begin(), right.end(), 0);
  if (comm.is_root())
    write_arrays(file, {{"x", {250, 4}, right}});
  comm.barrier();
  if (comm.is_root())
    Comm::in_process(
        3, [&](Comm& threads) { EXPECT_EQ(all_values(threads, read(threads, file)), right); });
  comm.barrier();
}

} // namespace
} // namespace cleave
