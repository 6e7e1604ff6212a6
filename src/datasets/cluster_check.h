#pragma once

#include <string>

#include "sources/postgres/cluster.h"

namespace holdfast {

// A question to a database whose answer is yes or no.
struct ClusterCheck {
    std::string sql;  // one row of one column: true or false
    std::string database = "postgres";
    Duration timeout = std::chrono::minutes(10);
};
struct CheckAnswer {
    bool held = false;
    std::string said;  // the server's words, where something that the check names was not there
};

// Asks. NULL is no, and so is a check that names what does not exist (a table, a column, a function, the database). `usage`
// for what is no such question or no SQL; check_failed for what else the server refuses. Where the check waits for a lock of a
// transaction that had not ended at the moment of a hot standby, the cluster is opened for writing, which ends the transaction.
Result<CheckAnswer> ask(postgres::IsolatedCluster const& cluster, ClusterCheck const& check, std::stop_token stop);

}  // namespace holdfast
