#include "cleave/workload.hpp"
#include "refusals.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cleave {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using testing::parameter;

Values::Given given(const std::string& text) {
  return {text, {"job.toml", 7, "n"}, "folder"};
}

// The value of one integer parameter written as `text`.
std::int64_t integer(const std::string& text) {
  return Values({parameter("n", ParameterType::integer, "0")}, {{"n", given(text)}}).integer("n");
}

double real(const std::string& text) {
  return Values({parameter("n", ParameterType::real, "0")}, {{"n", given(text)}}).real("n");
}

template <class F>
std::string refusal(F f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    return error.what();
  }
  return "accepted";
}

TEST(Values, IntegersMayBeWrittenAsPowersOfTen) {
  EXPECT_EQ(integer("12"), 12);
  EXPECT_EQ(integer(" -12 "), -12);
  EXPECT_EQ(integer("+5"), 5);
  EXPECT_EQ(integer("1e6"), 1'000'000);
  EXPECT_EQ(integer("1E+12"), 1'000'000'000'000);
  EXPECT_EQ(integer("2.5e3"), 2'500);
  EXPECT_EQ(integer("1200e-2"), 12);
  EXPECT_EQ(integer("12.000"), 12);
  EXPECT_EQ(integer("0e99"), 0);
}

TEST(Values, IntegersAreExactBeyondDouble) {
  EXPECT_EQ(integer("9007199254740993"), 9'007'199'254'740'993);
  EXPECT_EQ(integer("9.007199254740993e15"), 9'007'199'254'740'993);
  EXPECT_EQ(integer("9223372036854775807"), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(integer("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
}

TEST(Values, WhatIsNoWholeNumberIsRefused) {
  for (const char* text :
       {"", "x", "1x", "1.5", "1e-1", "nan", "inf", "9223372036854775808", "1e19", "1e999999999999",
        "1e-9223372036854775808", "0x10", "1 2", "--1", "1e", ".", "-", "1,2"})
    EXPECT_THAT(refusal([&] { integer(text); }),
                AllOf(HasSubstr("job.toml:7: n: must be a whole number"), HasSubstr(text)))
        << text;
}

// The system would end a file's name there.
TEST(Values, TextsHoldNoNulCharacter) {
  for (const auto type : {ParameterType::text, ParameterType::output_file})
    EXPECT_THAT(refusal([&] {
                  (void)Values({parameter("n", type, "")}, {{"n", given(std::string("a\0b", 3))}});
                }),
                HasSubstr("job.toml:7: n: must not hold a NUL character"));
}

TEST(Values, RealsAreFinite) {
  EXPECT_EQ(real("0.1"), 0.1);
  EXPECT_EQ(real("+1e-3"), 1e-3);
  EXPECT_EQ(real("7"), 7);
  for (const char* text : {"", "nan", "NaN", "-nan", "inf", "-inf", "1e999", "0.1x", "one"})
    EXPECT_THAT(refusal([&] { real(text); }), HasSubstr("must be a finite number")) << text;
}

TEST(Values, ListsAreSeparatedByCommas) {
  const std::vector<Parameter> list = {parameter("n", ParameterType::integers, "1,2")};
  EXPECT_THAT(Values(list, {}).integers("n"), ElementsAre(1, 2));
  EXPECT_THAT(Values(list, {{"n", given("1e6, 2e6,3")}}).integers("n"),
              ElementsAre(1'000'000, 2'000'000, 3));
  for (const char* text : {"", ",", "1,", ",1", "1,,2", "1;2", "1,nan"})
    EXPECT_THAT(refusal([&] {
                  (void)Values(list, {{"n", given(text)}});
                }),
                HasSubstr("must be a whole number"))
        << text;
}

TEST(Values, RangesAndChoicesAreTold) {
  Parameter n = parameter("n", ParameterType::integer, "1");
  n.minimum = 1;
  n.maximum = 1e12;
  EXPECT_EQ(range_text(n), "1 to 1e12");
  EXPECT_EQ(Values({n}, {{"n", given("1e12")}}).integer("n"), 1'000'000'000'000);
  EXPECT_THAT(refusal([&] {
                (void)Values({n}, {{"n", given("0")}});
              }),
              HasSubstr("n: must be 1 to 1e12, not 0"));
  n.maximum = std::numeric_limits<double>::infinity();
  EXPECT_EQ(range_text(n), "at least 1");
  Parameter c = parameter("class", ParameterType::text, "S");
  c.choices = {"S", "W"};
  EXPECT_EQ(Values({c}, {}).text("class"), "S");
  EXPECT_THAT(refusal([&] {
                (void)Values({c}, {{"class", given("Z")}});
              }),
              HasSubstr("must be one of S, W, not \"Z\""));
}

TEST(Values, AListIsInRangeAsAWhole) {
  Parameter n = parameter("n", ParameterType::integers, "1");
  n.minimum = 1;
  EXPECT_THAT(refusal([&] { (void)Values({n}, {{"n", given("3,0")}}); }), HasSubstr("at least 1"));
}

TEST(Values, UnknownKeysAreRefusedWithTheKnownOnes) {
  const std::vector<Parameter> parameters = {parameter("repeats", ParameterType::integer, "0"),
                                             parameter("sigma", ParameterType::real, "0")};
  EXPECT_THAT(refusal([&] {
                (void)Values(parameters, {{"sigmas", {"1", {"a.toml", 3, "sigmas"}, {}}}});
              }),
              AllOf(HasSubstr("a.toml:3: sigmas: "), HasSubstr("did you mean \"sigma\"?"),
                    HasSubstr("known: repeats, sigma")));
  EXPECT_THAT(refusal([&] {
                (void)Values(parameters, {{"xyz", {"1", {}, {}}}});
              }),
              ::testing::Not(HasSubstr("did you mean")));
}

TEST(Values, RequiredParametersMustBeGiven) {
  Parameter input = parameter("input", ParameterType::input_file, "");
  input.required = true;
  EXPECT_THAT(refusal([&] { (void)Values({input}, {}); }), HasSubstr("input: missing"));
  EXPECT_THAT(refusal([&] {
                (void)Values({input}, {{"input", given("")}});
              }),
              HasSubstr("must not be empty"));
}

TEST(Values, FilesStartFromTheirBase) {
  const std::vector<Parameter> parameters = {parameter("in", ParameterType::input_file, ""),
                                             parameter("out", ParameterType::output_file, "")};
  const Values values(parameters, {{"in", given("a.png")}});
  EXPECT_EQ(values.file("in"), "folder/a.png");
  EXPECT_EQ(Values(parameters, {{"in", given("/a.png")}}).file("in"), "/a.png");
  EXPECT_EQ(values.file("out"), "");
}

TEST(Values, CanonicalTextInTheOrderOfDeclaration) {
  const std::vector<Parameter> parameters = {
      parameter("z", ParameterType::integers, "1e3,2"), parameter("y", ParameterType::real, "0.50"),
      parameter("x", ParameterType::integer, "1e6"), parameter("w", ParameterType::text, "a b")};
  EXPECT_THAT(Values(parameters, {}).all(), ElementsAre(Pair("z", "1000,2"), Pair("y", "0.5"),
                                                        Pair("x", "1000000"), Pair("w", "a b")));
  const Summary facts = Values(parameters, {}).facts();
  EXPECT_EQ(facts[2].name, "x");
  EXPECT_EQ(std::get<std::int64_t>(facts[2].value), 1'000'000);
}

TEST(Values, AskingForWhatIsNotDeclaredIsAnError) {
  const Values values({parameter("n", ParameterType::integer, "1")}, {});
  EXPECT_THROW((void)values.integer("m"), Error);
  EXPECT_THROW((void)values.real("n"), Error);
}

TEST(Values, ErrorsOfTheWorkloadNameThePlace) {
  const Values values({parameter("n", ParameterType::integer, "1")}, {{"n", given("3")}});
  EXPECT_STREQ(values.error("n", "must be even").what(), "job.toml:7: n: must be even");
}

} // namespace
} // namespace cleave
