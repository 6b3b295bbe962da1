// The environment's part of Session; session_probe.cpp and its ctests show MPI's beginning and end.
#include "cleave/error.hpp"
#include "cleave/session.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

namespace cleave {
namespace {

/// Sets environment variables (an empty text removes one) and puts the old ones back.
class Environment {
public:
  explicit Environment(const std::map<std::string, std::string>& variables) {
    for (const auto& [name, value] : variables) {
      const char* old = std::getenv(name.c_str());
      old_[name] = old == nullptr ? "" : old;
      set(name, value);
    }
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() {
    for (const auto& [name, value] : old_)
      set(name, value);
  }

private:
  static void set(const std::string& name, const std::string& value) {
    if (value.empty())
      unsetenv(name.c_str());
    else
      setenv(name.c_str(), value.c_str(), 1);
  }
  std::map<std::string, std::string> old_;
};

std::map<std::string, std::string> step_of(const std::string& tasks) {
  return {{"SLURM_STEP_NUM_TASKS", tasks}, {"PMIX_NAMESPACE", ""}, {"OMPI_COMM_WORLD_SIZE", ""}};
}

TEST(Singletons, AreSuspectedInASlurmStepOfSeveralTasksWithoutPmix) {
  const Environment environment(step_of("4"));
  EXPECT_TRUE(singletons_suspected());
}

TEST(Singletons, AreNotSuspectedWhereMpiJoinsThem) {
  for (const char* joined : {"PMIX_NAMESPACE", "OMPI_COMM_WORLD_SIZE"}) {
    auto variables = step_of("4");
    variables[joined] = "x";
    const Environment environment(variables);
    EXPECT_FALSE(singletons_suspected()) << joined;
  }
}

TEST(Singletons, AreNotSuspectedAlone) {
  for (const char* tasks : {"", "1", "x"}) {
    const Environment environment(step_of(tasks));
    EXPECT_FALSE(singletons_suspected()) << tasks;
  }
}

TEST(Session, RefusesSingletonsBeforeMpiBegins) {
  const Environment environment(step_of("4"));
  try {
    const Session session;
    ADD_FAILURE() << "began";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    EXPECT_THAT(error.message(), testing::HasSubstr("4 copies"));
    EXPECT_THAT(error.message(), testing::HasSubstr("srun --mpi=pmix"));
  }
}

} // namespace
} // namespace cleave
