// What the C++ of configs/CLIENTS.md uses of rtmfp-cpp, declared to compile it without
// that library: names and signatures, nothing that runs.
#pragma once

namespace com::zenomt {

class RunLoop {
public:
	void run();
	void stop();
};

class PreferredRunLoop : public RunLoop {};

}
