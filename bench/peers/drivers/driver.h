// What the drivers share: they read one layer from a file, get ready, and then
// answer each line "turn N" with the milliseconds of a run in a turn of N, and
// "write PATH" with "ok" once the output is in that file.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

// A layer: six int32, then the weight (out x in x kernel x kernel), then the
// activations (a row of pixels or columns for each feature), all float32.
struct Problem {
  int32_t in, out, size, kernel, stride, columns;
  std::vector<float> w, x;
  int threads;

  int outSize() const { return (size + 2 * (kernel / 2) - kernel) / stride + 1; }
  int pixels() const { return size ? size * size : columns; }
  int n() const { return size ? outSize() * outSize() : columns; }
  int k() const { return in * kernel * kernel; }
  // Whether it is a product of the weight with the activations as they are.
  bool product() const { return kernel == 1 && stride == 1; }
};

// An engine that is ready: run computes once, output returns a row of columns
// for each output feature. rest, where there is one, sends threads to sleep that
// would spin through the turns of others.
struct Engine {
  std::string version;
  std::function<void()> run;
  std::function<std::vector<float>()> output;
  std::function<void()> rest;
};

// turn runs back to back for that long, at least twice, and returns the median
// of the second half of the runs, as package kernels does.
inline double turn(const Engine& e, double ms) {
  using clock = std::chrono::steady_clock;
  using milliseconds = std::chrono::duration<double, std::milli>;
  std::vector<double> times;
  for (auto start = clock::now(); times.size() < 2 || milliseconds(clock::now() - start).count() < ms;) {
    auto begin = clock::now();
    e.run();
    times.push_back(milliseconds(clock::now() - begin).count());
  }
  if (e.rest) e.rest();
  times.erase(times.begin(), times.begin() + times.size() / 2);
  std::sort(times.begin(), times.end());
  return times[(times.size() - 1) / 2];
}

inline Problem readProblem(const char* path) {
  std::ifstream f(path, std::ios::binary);
  Problem p;
  f.read(reinterpret_cast<char*>(&p.in), 6 * sizeof(int32_t));
  if (!f) throw std::runtime_error("no layer in the file");
  p.w.resize(size_t(p.out) * p.k());
  p.x.resize(size_t(p.in) * p.pixels());
  f.read(reinterpret_cast<char*>(p.w.data()), p.w.size() * sizeof(float));
  f.read(reinterpret_cast<char*>(p.x.data()), p.x.size() * sizeof(float));
  if (!f) throw std::runtime_error("the file of the layer is too short");
  return p;
}

// drive is main: ARGV is the variant of the engine, the file of the layer and
// the number of threads.
inline int drive(int argc, char** argv, Engine (*make)(Problem&, const std::string& variant)) {
  try {
    if (argc != 4) throw std::runtime_error("expected a variant, a file and a number of threads");
    Problem p = readProblem(argv[2]);
    p.threads = std::stoi(argv[3]);
    Engine e = make(p, argv[1]);
    e.run();
    std::cout << "ready " << e.version << std::endl;
    for (std::string line; std::getline(std::cin, line);) {
      if (line.rfind("write ", 0) == 0) {
        std::vector<float> y = e.output();
        std::ofstream(line.substr(6), std::ios::binary).write(reinterpret_cast<char*>(y.data()), y.size() * sizeof(float));
        std::cout << "ok" << std::endl;
        continue;
      }
      if (line.rfind("turn ", 0) != 0) throw std::runtime_error("asked to " + line);
      std::printf("%.6f\n", turn(e, std::stod(line.substr(5))));
      std::fflush(stdout);
    }
  } catch (const std::exception& e) {
    std::cout << "error " << e.what() << std::endl;
    return 1;
  }
  return 0;
}
