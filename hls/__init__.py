"""Front end, emission, C++ and Verilog sources, tool runs, reports and costs; the only home of hls4ml."""
