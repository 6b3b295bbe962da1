// Memory at root does not grow with the picture. A program of its own: a peak never falls.
#include "cleave/pool.hpp"
#include "cleave/workload.hpp"

#include <gtest/gtest.h>
#include <mpi.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

cleave::Workload mandelbrot_workload();

namespace cleave {
namespace {

/// The most memory that this process has ever held, in KiB.
std::int64_t peak_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (std::int64_t kib = 0; word == "VmHWM:" && status >> kib)
      return kib;
  return -1;
}

TEST(MandelbrotMemory, APictureOf800MegabytesFitsInto250) {
  const char* base = std::getenv("TMPDIR");
  const std::filesystem::path folder = base != nullptr ? base : "/tmp";
  const auto png = folder / "large.png";
  const auto raw = folder / "large.h5";
  Pool pool(MPI_COMM_WORLD, PoolOptions{.threads = 1});
  std::map<std::string, Values::Given> given;
  for (const auto& [key, text] : std::map<std::string, std::string>{
           {"columns", "16384"}, {"rows", "16384"}, {"limit", "20"}, {"output", png}, {"raw", raw}})
    given[key] = {text, {}, {}};
  const Workload workload = mandelbrot_workload();
  const auto job = workload.prepare({workload.parameters, given}, pool);
  EXPECT_LT(job->memory_bytes(), 250e6);
  job->run(pool);
  if (!pool.is_root())
    return;
  const Verdict verdict = job->check();
  EXPECT_EQ(verdict.verify, Verify::ok) << verdict.how;
  job->write_outputs();
  const ImageHeader header = read_png_header(png);
  EXPECT_EQ(header.width, 16'384);
  EXPECT_EQ(header.height, 16'384);
  EXPECT_GT(std::filesystem::file_size(raw), 1'000'000);
  const std::int64_t peak = peak_kib();
  EXPECT_GT(peak, 0);
  EXPECT_LT(peak, 250'000'000 / 1024) << "KiB";
  std::filesystem::remove(png);
  std::filesystem::remove(raw);
}

} // namespace
} // namespace cleave
