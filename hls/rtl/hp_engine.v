// The controller that plays strikes on an array or a recompute unit between streams, and reports what they counted.
//
// A strike names the cycle before which its mask is loaded (hardpoint.schedule); they come sorted by cycle. What is
// controlled stands still while masks are loaded, while the next strike is still on its way, while it has no beat, and while
// nobody takes its sums: none of this changes what it computes. After `limit` iterations (cycles and loads) the engine
// gives up: it empties its inputs, yields zeros for what is missing and says so.
module hp_engine #(
    parameter COUNTERS = 8,   // of votes
    parameter SETTLE = 8      // cycles until they have counted everything
) (
    input wire clk,
    input wire rst,
    input wire ce,
    input wire start,
    input wire continue_,
    output wire idle,
    output wire ready,
    output wire done,

    input wire [47:0] strike_cycle,
    input wire strikes_empty_n,
    output wire strikes_read,
    output wire [31:0] counts_din,    // cycles, whether it gave up, votes
    input wire counts_full_n,
    output wire counts_write,
    input wire [31:0] strike_count,
    input wire [31:0] limit,

    input wire fed,                   // all beats have entered
    input wire emptied,               // all sums have left
    input wire advance,               // a cycle passes
    input wire [32*COUNTERS-1:0] votes,
    output wire clear,                // back to the start
    output wire running,
    output wire resting,              // beats are dropped, zeros are sums
    output wire settling,
    output wire enable,               // a cycle may pass
    output wire load                  // the strike at hand is loaded
);
    localparam [2:0] IDLE = 0, CLEAR = 1, RUN = 2, REST = 3, SETTLED = 4, REPORT = 5, FINISH = 6;
    reg [2:0] state;
    reg [31:0] taken, iterations;  // strikes read; cycles and loads
    reg [47:0] cycles;
    reg [7:0] place;               // in SETTLED and REPORT
    reg hung, loaded;

    wire more = taken != strike_count;
    wire due = more && strikes_empty_n && strike_cycle <= cycles;
    wire unknown = more && !strikes_empty_n;
    wire skip = resting && more && strikes_empty_n;
    assign clear = ce && state == CLEAR;
    assign running = ce && state == RUN && !emptied && iterations != limit;
    assign resting = ce && state == REST;
    assign settling = state == SETTLED;
    assign load = running && due;
    // Masks need a cycle on the bus and one to be stored; what they strike waits for both.
    assign enable = (running && !due && !unknown && !loaded) || (ce && settling);
    assign strikes_read = load || skip;
    assign counts_write = ce && state == REPORT && counts_full_n;
    assign counts_din = place == 0 ? cycles[31:0] : place == 1 ? {31'd0, hung} : votes[32*(place-2) +: 32];
    assign idle = state == IDLE;
    assign done = state == FINISH;
    assign ready = done && continue_;

    always @(posedge clk)
        if (rst) begin
            state <= IDLE;
            loaded <= 1'b0;
        end else if (ce) begin
            loaded <= load;
            case (state)
                IDLE: if (start) state <= CLEAR;
                CLEAR: begin
                    state <= RUN;
                    {taken, iterations, cycles} <= 0;
                    place <= 8'd0;
                    hung <= 1'b0;
                end
                RUN: begin
                    if (load || advance) iterations <= iterations + 1'b1;
                    if (advance) cycles <= cycles + 1'b1;
                    if (emptied) state <= REST;
                    else if (iterations == limit) begin
                        state <= REST;
                        hung <= 1'b1;
                    end
                end
                REST: if (fed && emptied && !more) state <= SETTLED;
                SETTLED: begin
                    place <= place == SETTLE - 1 ? 8'd0 : place + 1'b1;
                    if (place == SETTLE - 1) state <= REPORT;
                end
                REPORT: if (counts_full_n) begin
                    place <= place + 1'b1;
                    if (place == COUNTERS + 1) state <= FINISH;
                end
                FINISH: if (continue_) state <= IDLE;
                default: state <= IDLE;
            endcase
            if (strikes_read) taken <= taken + 1'b1;
        end
endmodule
