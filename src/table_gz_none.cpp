// Built in place of table_gz.cpp where there is no zlib.
#include "table_parts.hpp"

namespace cleave::table {

Table read_gz(const Comm&, const std::filesystem::path& file, const TableOptions&,
              const RowsOfRank&) {
  refuse(file, "is packed, and this Cleave was built without zlib; unpack it: gunzip --keep " +
                   file.string());
}

} // namespace cleave::table
