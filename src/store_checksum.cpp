#include "store_checksum.hpp"

namespace cleave::format {

std::uint64_t sum_of(const RunInfo& info, std::size_t rows, std::size_t warm_ups) {
  ChainedSum sum;
  for (const std::string& text : {info.config_hash, info.workload, info.work_unit, info.schedule,
                                  info.sync_method, info.summary_method})
    sum.add(std::string_view(text));
  sum.add(info.work_items);
  for (const std::int64_t number :
       {info.tasks, std::int64_t{info.ranks}, std::int64_t{info.threads}, std::int64_t{info.nodes},
        std::int64_t{info.oversubscribed ? 1 : 0}, static_cast<std::int64_t>(rows),
        static_cast<std::int64_t>(warm_ups)})
    sum.add(number);
  sum.add(std::span<const std::int32_t>(info.rank_node));
  sum.add(std::span<const std::int32_t>(info.rank_threads));
  sum.add(std::span<const std::int64_t>(info.rank_pid));
  for (const auto* texts : {&info.rank_cpus, &info.node_name})
    for (const std::string& text : *texts)
      sum.add(std::string_view(text));
  for (const auto& [fact, text] : info.provenance) {
    sum.add(std::string_view(fact));
    sum.add(std::string_view(text));
  }
  return sum.value();
}

void write_sum(const hdf5::File& file, const char* name, std::uint64_t sum) {
  hdf5::write_text_attribute(file.get(), name, hex16(sum));
}

bool has_sum(const hdf5::File& file, const char* name) {
  if (hdf5::has_attribute(file.get(), name))
    return true;
  if (hdf5::read_text_attribute(file.get(), "format_version") != "1.0")
    throw hdf5::Failure(std::string("attribute ") + name + " is missing");
  return false;
}

bool has_added_sums(const hdf5::File& file) {
  return hdf5::read_text_attribute(file.get(), "format_version") != "1.1";
}

void require_sum(const hdf5::File& file, const char* name, std::uint64_t sum) {
  if (hdf5::read_text_attribute(file.get(), name) != hex16(sum))
    throw hdf5::Failure(std::string("what it holds does not fit its checksum, ") + name);
}

} // namespace cleave::format
