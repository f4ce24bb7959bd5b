// Shortest augmenting paths with dual prices that carry over from row to row.
#include "worker/priors/graph/assignment.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace distill::priors {
namespace {

constexpr int64_t kNobody = -1;

// Rows are assigned one after another; each new one may push others along the cheapest path.
class Assignment {
 public:
  Assignment(const std::vector<double>& cost, int64_t n)
      : cost_(cost.data()),
        n_(n),
        row_price_(Size()),
        column_price_(Size()),
        row_of_(Size(), kNobody),
        column_of_(Size(), kNobody),
        previous_row_(Size()),
        distance_(Size()) {}

  std::vector<int64_t> Solve() {
    StartWithCheapColumns();
    for (int64_t row = 0; row < n_; ++row) {
      if (At(column_of_, row) == kNobody) Augment(row);
    }
    return column_of_;
  }

 private:
  size_t Size() const { return static_cast<size_t>(n_); }
  template <typename T>
  static T& At(std::vector<T>& values, int64_t index) {
    return values[static_cast<size_t>(index)];
  }

  // Prices each column at its cheapest row, which takes it if it is free: most rows of an easy
  // problem are done by that.
  void StartWithCheapColumns() {
    for (int64_t column = n_ - 1; column >= 0; --column) {
      int64_t best = 0;
      for (int64_t row = 1; row < n_; ++row) {
        if (cost_[row * n_ + column] < cost_[best * n_ + column]) best = row;
      }
      At(column_price_, column) = cost_[best * n_ + column];
      if (At(column_of_, best) == kNobody) {
        At(column_of_, best) = column;
        At(row_of_, column) = best;
      }
    }
  }

  // Finds the cheapest path from `start` to a free column, and shifts the assignments along it.
  void Augment(int64_t start) {
    constexpr double kFar = std::numeric_limits<double>::infinity();
    std::fill(distance_.begin(), distance_.end(), kFar);
    std::vector<int64_t> open(Size());
    for (int64_t column = 0; column < n_; ++column) At(open, column) = column;
    std::vector<int64_t> scanned;
    int64_t row = start;
    int64_t free_column = kNobody;
    double reached = 0.0;
    while (free_column == kNobody) {
      size_t nearest = 0;
      double least = kFar;
      const double* const costs = cost_ + row * n_;
      const double base = reached - At(row_price_, row);
      for (size_t i = 0; i < open.size(); ++i) {
        const int64_t column = open[i];
        const double through = base + costs[column] - At(column_price_, column);
        double& distance = At(distance_, column);
        if (through < distance) {
          distance = through;
          At(previous_row_, column) = row;
        }
        // Of equally near columns a free one ends the search.
        if (distance < least || (distance == least && At(row_of_, column) == kNobody)) {
          least = distance;
          nearest = i;
        }
      }
      reached = least;
      const int64_t column = open[nearest];
      open[nearest] = open.back();
      open.pop_back();
      scanned.push_back(column);
      if (At(row_of_, column) == kNobody) {
        free_column = column;
      } else {
        row = At(row_of_, column);
      }
    }
    UpdatePrices(start, scanned, reached);
    for (int64_t column = free_column; column != kNobody;) {
      const int64_t owner = At(previous_row_, column);
      At(row_of_, column) = owner;
      std::swap(At(column_of_, owner), column);
      if (owner == start) break;
    }
  }

  // Keeps reduced costs non-negative, and zero where assigned.
  void UpdatePrices(int64_t start, const std::vector<int64_t>& scanned, double reached) {
    At(row_price_, start) += reached;
    for (const int64_t column : scanned) {
      const double slack = reached - At(distance_, column);
      At(column_price_, column) -= slack;
      const int64_t owner = At(row_of_, column);
      if (owner != kNobody) At(row_price_, owner) += slack;
    }
  }

  const double* const cost_;
  const int64_t n_;
  std::vector<double> row_price_;
  std::vector<double> column_price_;
  std::vector<int64_t> row_of_;     // by column
  std::vector<int64_t> column_of_;  // by row
  std::vector<int64_t> previous_row_;
  std::vector<double> distance_;  // by column, of the current search
};

}  // namespace

std::vector<int64_t> CheapestAssignment(const std::vector<double>& cost, int64_t n) {
  return Assignment(cost, n).Solve();
}

}  // namespace distill::priors
