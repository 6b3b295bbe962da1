#include "../run/settings.hpp"
#include "../words.hpp"
#include "cleave/study.hpp"
#include "study_file.hpp"

#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

namespace cleave {
namespace {

namespace fs = std::filesystem;

using Texts = std::map<std::string, std::string>;

// What makes a point.
struct Shape {
  int ranks = 1;
  int threads = 1;

  [[nodiscard]] std::int64_t workers() const { return std::int64_t{ranks} * threads; }
};

// Makes the points of one study file, each validated like a run of its own.
class Planner {
public:
  Planner(const StudyText& text, const StudyMachine& machine,
          const std::vector<Workload>& workloads)
      : text_(text), machine_(machine), workloads_(workloads), workload_(find()),
        study_(parse_study_file(text.study, workload_)) {}

  [[nodiscard]] StudyPlan plan() const {
    StudyPlan plan;
    plan.text = text_;
    plan.slurm = study_.slurm;
    plan.record.title = fs::path(text_.study.file).stem().string();
    plan.record.mode = study_.mode;
    plan.record.measure = study_.measure;
    refuse_job_settings();
    for (const Texts& parameters : combinations())
      for (const std::string& schedule : schedules())
        for (const Shape& shape : shapes())
          plan.points.push_back(point(shape, schedule, parameters, plan.record.grown));
    name_points(plan.points);
    for (const PlannedPoint& one : plan.points)
      plan.record.planned.push_back(one.key);
    return plan;
  }

private:
  [[nodiscard]] const Workload& find() const {
    if (!text_.job_file.file.empty())
      return find_workload(workloads_, parse_job_file(text_.job_file, workloads_).workload);
    return find_workload(workloads_, text_.job, {text_.study.file, 0, "job"});
  }

  [[nodiscard]] int cores() const {
    if (machine_.launcher == Launcher::mpirun || study_.slurm.cores_per_node == 0)
      return machine_.cores;
    return study_.slurm.cores_per_node;
  }

  // What a launch of every point would write again.
  void refuse_job_settings() const {
    if (machine_.launcher == Launcher::slurm && study_.slurm.cores_per_node == 0)
      throw Error(ErrorKind::bad_input,
                  "missing; batch jobs need cores_per_node = N in the table [slurm]",
                  {study_.file, 0, "cores_per_node"});
    if (text_.job_file.file.empty())
      return;
    const JobFile job = parse_job_file(text_.job_file, workloads_);
    if (const auto found = job.settings.find("result"); found != job.settings.end())
      throw Error(ErrorKind::bad_input,
                  "a study runs the job many times and keeps times alone; leave the answer's file "
                  "out of its job file",
                  found->second.place);
  }

  [[nodiscard]] std::vector<std::string> schedules() const {
    if (!study_.schedules.empty())
      return study_.schedules;
    if (study_.mode != StudyMode::schedule)
      return {""}; // the job's own
    std::vector<std::string> all;
    for (int i = 0; i <= static_cast<int>(Technique::automatic); ++i)
      all.push_back(Schedule(static_cast<Technique>(i)).text());
    return all;
  }

  [[nodiscard]] std::vector<Shape> shapes() const {
    if (study_.mode == StudyMode::layout)
      return splits();
    if (const auto cores = study_.places.find("cores"); cores != study_.places.end())
      throw Error(ErrorKind::bad_input, "is of mode = \"layout\" alone; give ranks and threads",
                  cores->second);
    std::vector<Shape> all;
    for (const int threads : or_else(study_.threads, {1}))
      for (const int ranks : or_else(study_.ranks, usual_ranks()))
        all.push_back({ranks, threads});
    return all;
  }

  [[nodiscard]] static std::vector<int> or_else(const std::vector<int>& given,
                                                const std::vector<int>& usual) {
    return given.empty() ? usual : given;
  }

  // Of a study that names none: 1, 2, 4 ... and all cores; of a schedule study all cores.
  [[nodiscard]] std::vector<int> usual_ranks() const {
    std::vector<int> all;
    if (study_.mode != StudyMode::schedule)
      for (int ranks = 1; ranks < cores(); ranks *= 2)
        all.push_back(ranks);
    all.push_back(cores());
    return all;
  }

  // Every ranks x threads that makes up the cores, of those that the lists admit.
  [[nodiscard]] std::vector<Shape> splits() const {
    const int all_cores = study_.cores > 0 ? study_.cores : cores();
    std::vector<Shape> all;
    for (int ranks = 1; ranks <= all_cores; ++ranks) {
      if (all_cores % ranks != 0)
        continue;
      const int threads = all_cores / ranks;
      const auto admitted = [](const std::vector<int>& list, int value) {
        return list.empty() || std::ranges::find(list, value) != list.end();
      };
      if (admitted(study_.ranks, ranks) && admitted(study_.threads, threads))
        all.push_back({ranks, threads});
    }
    if (all.empty())
      throw Error(ErrorKind::bad_input,
                  "no split of " + std::to_string(all_cores) +
                      " cores has these ranks and threads; ranks x threads must be all cores",
                  study_.place(study_.ranks.empty() ? "threads" : "ranks"));
    return all;
  }

  // Every combination of the parameters' values.
  [[nodiscard]] std::vector<Texts> combinations() const {
    std::vector<Texts> all{{}};
    for (const StudyFile::Axis& axis : study_.parameters) {
      std::vector<Texts> more;
      for (const Texts& before : all)
        for (const std::string& text : axis.texts) {
          more.push_back(before);
          more.back()[axis.name] = text;
        }
      all = std::move(more);
    }
    return all;
  }

  [[nodiscard]] PlannedPoint point(const Shape& shape, const std::string& schedule,
                                   Texts parameters, std::vector<std::string>& grown) const {
    PlannedPoint point;
    point.stem = stem(shape, canonical(parameters));
    if (study_.mode == StudyMode::weak)
      for (const auto& [name, text] : grow(parameters, static_cast<double>(shape.workers()))) {
        parameters[name] = text;
        if (std::ranges::find(grown, name) == grown.end())
          grown.push_back(name);
      }
    const Plan run = run_of(shape, schedule, parameters);
    const Values values(workload_.parameters, run.parameters);
    for (const auto& [name, text] : values.all())
      if (parameters.contains(name))
        point.overrides.push_back(join({name, text}, "="));
    refuse_outputs(values);
    for (const auto& [name, text] : values.all())
      point.parameters[name] = text;
    point.key = {workload_.name,      config_hash(workload_.name, values),
                 run.schedule.text(), nodes(shape),
                 shape.ranks,         shape.threads};
    point.oversubscribed = shape.workers() > std::int64_t{point.key.nodes} * cores();
    if (point.oversubscribed && !machine_.oversubscribe)
      throw Error(
          ErrorKind::bad_input, over_subscribed(shape),
          study_.place(shape.ranks > cores() || study_.threads.empty() ? "ranks" : "threads"));
    point.stem += "-" + clean(point.key.schedule);
    return point;
  }

  [[nodiscard]] std::string over_subscribed(const Shape& shape) const {
    return std::to_string(shape.ranks) + " ranks x " + std::to_string(shape.threads) +
           " threads are more workers than the " + std::to_string(cores()) +
           (machine_.launcher == Launcher::mpirun ? " cores of this machine" : " cores of a node") +
           "; give fewer, or --oversubscribe to measure it all the same, marked so";
  }

  // By mpirun all on this machine; else as many nodes as the ranks need, none of them split.
  [[nodiscard]] int nodes(const Shape& shape) const {
    if (machine_.launcher == Launcher::mpirun)
      return 1;
    const int in_node = std::max(cores() / shape.threads, 1);
    return (shape.ranks + in_node - 1) / in_node;
  }

  // The run that a launch of the point makes, refused where `cleave run` would refuse it.
  [[nodiscard]] Plan run_of(const Shape& shape, const std::string& schedule,
                            const Texts& parameters) const {
    Request request;
    request.job = text_.job;
    for (const auto& [name, text] : parameters)
      request.parameters.push_back(join({name, text}, "="));
    request.threads = std::to_string(shape.threads);
    if (!schedule.empty())
      request.schedule = schedule;
    const bool by_file = !text_.job_file.file.empty();
    try {
      return make_plan(request, by_file ? std::optional(text_.job_file) : std::nullopt, workloads_);
    } catch (const Error& error) {
      throw at_its_place(error);
    }
  }

  // A parameter that this study gave is named at its place in the study file.
  [[nodiscard]] Error at_its_place(const Error& error) const {
    if (error.place().file.empty())
      for (const StudyFile::Axis& axis : study_.parameters)
        if (axis.name == error.place().key)
          return {error.kind(), error.message(), axis.place};
    return error;
  }

  // 1e6 as 1000000: what is recorded.
  [[nodiscard]] Texts canonical(const Texts& parameters) const {
    Texts texts;
    const Plan run = run_of({}, "", parameters);
    for (const auto& [name, text] : Values(workload_.parameters, run.parameters).all())
      if (parameters.contains(name))
        texts[name] = text;
    return texts;
  }

  [[nodiscard]] Texts grow(const Texts& parameters, double factor) const {
    if (!workload_.grow) {
      std::vector<std::string> able;
      for (const Workload& workload : workloads_)
        if (workload.grow)
          able.push_back(workload.name);
      throw Error(ErrorKind::bad_input,
                  "the workload " + workload_.name +
                      " cannot be made larger by a factor, as weak scaling needs; " +
                      (able.empty() ? "none can" : "these can: " + join(able)),
                  study_.place("mode"));
    }
    const Plan base = run_of({}, "", parameters);
    try {
      return workload_.grow(Values(workload_.parameters, base.parameters), factor);
    } catch (const Error& error) {
      throw at_its_place(error);
    }
  }

  void refuse_outputs(const Values& values) const {
    for (const Parameter& parameter : workload_.parameters)
      if (parameter.type == ParameterType::output_file && !values.file(parameter.name).empty())
        throw values.error(parameter.name,
                           "a study runs the job many times and keeps times alone; write " +
                               parameter.name + " = \"\" under [parameters] of the study");
  }

  // Names that every shell takes as they are.
  [[nodiscard]] static std::string clean(const std::string& text) {
    constexpr std::size_t longest = 24;
    std::string name = text.substr(0, longest);
    for (char& letter : name)
      if (std::isalnum(static_cast<unsigned char>(letter)) == 0 && letter != '.' && letter != '+')
        letter = '_';
    return name;
  }

  [[nodiscard]] std::string stem(const Shape& shape, const Texts& parameters) const {
    std::string name = workload_.name;
    for (const auto& [key, text] : parameters)
      if (!text.empty())
        name += "-" + clean(fs::path(text).filename().string());
    const int on = nodes(shape);
    return name + "-" + (on > 1 ? std::to_string(on) + "n-" : "") + std::to_string(shape.ranks) +
           "x" + std::to_string(shape.threads);
  }

  // Points of one key are one; unlike ones whose names came out alike are told apart by a hash.
  static void name_points(std::vector<PlannedPoint>& points) {
    std::set<PointKey> known;
    std::erase_if(points,
                  [&](const PlannedPoint& point) { return !known.insert(point.key).second; });
    std::map<std::string, int> count;
    for (const PlannedPoint& point : points)
      ++count[point.stem];
    for (PlannedPoint& point : points)
      if (count[point.stem] > 1)
        point.stem += "-" + point.key.config_hash.substr(0, 8);
  }

  const StudyText& text_;
  const StudyMachine& machine_;
  const std::vector<Workload>& workloads_;
  const Workload& workload_;
  StudyFile study_;
};

} // namespace

StudyText read_study_text(const std::string& file) {
  const auto read = [](const std::string& name) {
    Request request;
    request.job = name;
    return read_job_file(request);
  };
  StudyText text;
  const auto study = read(file);
  if (!study)
    throw Error(ErrorKind::bad_input, "a study file's name ends in .toml; write it as a path",
                {file, 0, ""});
  text.study = *study;
  text.job = job_of_study(text.study);
  text.job_file = read(text.job).value_or(JobText());
  return text;
}

StudyPlan make_study_plan(const StudyText& text, const StudyMachine& machine,
                          const std::vector<Workload>& workloads) {
  return Planner(text, machine, workloads).plan();
}

} // namespace cleave
